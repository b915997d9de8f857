/**
 * A bounded load of everything that can happen to an exchange, through one sidecar, several times over. Afterwards it
 * must be as idle as before: nothing under way, no socket, timer, listener or byte left, and no more heap in use.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { EventEmitter } from 'node:events';
import { devNull } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import { Sidecar } from '../../src/sidecar.ts';
import { CountingClock } from '../support/counting-clock.ts';
import { closedPort } from '../support/dead-ports.ts';
import { leakCheck } from '../support/leak-check.ts';
import { rawClient, requestBytes, type RawClient, type RequestInit } from '../support/raw-client.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { flood, respond, respondJson } from '../support/steps/answers.ts';
import { staleKeepAlive } from '../support/steps/connections.ts';
import { closeBeforeResponse, resetMidUpload } from '../support/steps/cuts.ts';
import { sse } from '../support/steps/event-stream.ts';
import { stall, stallAfterHead, stallUpload } from '../support/steps/silence.ts';
import { refuseUpgrade, upgrade } from '../support/steps/upgrades.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { turns } from '../support/turns.ts';

const MIB = 1024 * 1024;
/** Exchanges of every kind in a round, at the same time. */
const AT_ONCE = 3;

/** By the first part of the path. */
const STEPS: Readonly<Record<string, RequestStep>> = {
  json: respondJson({ ok: true }),
  events: sse({ events: ['one', 'two'], terminator: '[DONE]' }),
  endless: sse({ events: ['one'], end: 'stall' }),
  flood: flood(32 * MIB),
  unwell: respond({ status: 503, body: 'no'.repeat(20_000) }),
  'hang-up': closeBeforeResponse(),
  stale: staleKeepAlive({ first: respond({ body: 'ok' }) }),
  'cut-events': sse({ events: ['one'], end: 'cut' }),
  silent: stall(),
  'half-silent': stallAfterHead({}, ['part']),
  'no-upload': resetMidUpload(),
  'full-upload': stallUpload(),
  socket: upgrade(),
  'no-socket': refuseUpgrade(),
};

const stepFor = ({ target }: { readonly target: string }): RequestStep =>
  STEPS[target.split('/')[1] ?? ''] ?? respond({ status: 404 });

const configFor = (origin: string, dead: number): string => `
admin: { journal: 10 }
server: { bodyTimeout: 2s }
defaults:
  policies:
    retry: { maxRetries: 1, backoff: { initial: 1ms, max: 1ms }, budget: false }
    circuitBreaker: false
upstreams:
  api: { route: /api, endpoints: [{ url: "${origin}" }] }
  hasty: { route: /hasty, endpoints: [{ url: "${origin}" }], policies: { attemptTimeout: { firstByte: 40ms } } }
  mute: { route: /mute, endpoints: [{ url: "${origin}" }], policies: { attemptTimeout: { idle: 40ms } } }
  late: { route: /late, endpoints: [{ url: "${origin}" }], policies: { deadline: { after: 40ms } } }
  patient: { route: /patient, endpoints: [{ url: "${origin}" }], policies: { retry: { backoff: { initial: 30s, max: 30s, jitter: none } } } }
  dead: { route: /dead, endpoints: [{ url: "http://127.0.0.1:${dead}" }] }
  open: { route: /open, endpoints: [{ url: "${origin}" }], policies: { circuitBreaker: { consecutiveFailures: 1, openFor: 5m }, retry: false } }
  stale: { route: /stale, endpoints: [{ url: "${origin}" }] }
  ladder: { route: /ladder, endpoints: [{ url: "${origin}/unwell" }], policies: { fallback: [{ upstream: api }, { static: { body: sorry } }] } }
`;

/** What the kinds of exchanges play on. */
interface Ground extends AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly sidecar: Sidecar;
  readonly clock: CountingClock;
  readonly port: number;
  /** Targets of exchanges that wait to be tried again. */
  readonly backingOff: Set<string>;
  /** One for every exchange there was. */
  readonly exchanges: WeakRef<object>[];
  /** The HTTP server of the data plane. */
  readonly servers: Set<EventEmitter>;
}

async function prepare(): Promise<Ground> {
  const stack = new AsyncDisposableStack();
  const dead = stack.use(await closedPort());
  const upstream = stack.use(await scriptedUpstream(stepFor));
  const clock = new CountingClock();
  const sets = ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'];
  const texts = [{ name: 'test.yaml', text: configFor(upstream.origin, dead.port) }];
  const input = { files: [], texts, env: {}, sets };
  const sidecar = await Sidecar.start({ input, watch: false, logTo: devNull, clock });
  stack.defer(() => sidecar.close());
  const backingOff = new Set<string>();
  const exchanges: WeakRef<object>[] = [];
  const servers = new Set<EventEmitter>();
  sidecar.bus.on('retry-scheduled', ({ exchange }) => backingOff.add(exchange.request.target));
  sidecar.bus.on('exchange-started', ({ exchange }) => exchanges.push(new WeakRef(exchange)));
  const onRequest = (message: unknown): void =>
    void servers.add((message as { server: EventEmitter }).server);
  subscribe('http.server.request.start', onRequest);
  stack.defer(() => void unsubscribe('http.server.request.start', onRequest));
  const port = sidecar.dataPlane.address()?.port ?? 0;
  const dispose = (): Promise<void> => stack.disposeAsync();
  return { upstream, sidecar, clock, port, backingOff, exchanges, servers, [Symbol.asyncDispose]: dispose };
}

/** @param id unlike any other's */
type Kind = (on: Ground, id: string) => Promise<void>;
/** Sends the rest of a request's head; resolves at that moment of the exchange. */
type Moment = (on: Ground, client: RawClient, target: string) => Promise<unknown>;

/** An exchange that comes to its end, whatever that is; `status` shows that it is the end that was meant. */
const whole =
  (status: number, path: string, init: RequestInit = {}): Kind =>
  async ({ port }, id) => {
    await using client = await rawClient(port);
    const sent = client.send(requestBytes({ ...init, path: `${path}/${id}` }));
    const response = await client.response(init.method);
    await Promise.all([sent, response.ended()]);
    expect(response.status).toBe(status);
    // Not before the sidecar has read all of the upload.
    client.halfClose();
    await client.waitForEnd();
  };

/** An exchange whose client leaves, at the moment for which `until` waits. */
const leaving =
  (path: string, until: Moment, method = 'GET'): Kind =>
  async (on, id) => {
    await using client = await rawClient(on.port);
    void client.send(`${method} ${path}/${id} HTTP/1.1\r\nhost: a\r\n`);
    await until(on, client, `/${path.split('/')[2]}/${id}`);
    if (Number(id) % 2 === 0) client.reset();
  };

/** One of many is enough of what moves megabytes. */
const rarely =
  (kind: Kind): Kind =>
  (on, id) =>
    Number(id) % AT_ONCE === 0 ? kind(on, id) : Promise.resolve();

const HANDSHAKE = 'connection: upgrade\r\nupgrade: websocket\r\n\r\n';

const afterHead =
  (rest: string): Moment =>
  async ({ upstream }, client, target) => {
    void client.send(rest);
    await upstream.waitUntil(() => upstream.requests.some((one) => one.target === target), target);
  };

const whileStreaming: Moment = async (_, client) => {
  void client.send('\r\n');
  await (await client.response()).nextChunk();
};

const whileNotReading: Moment = async (on, client, target) => {
  await whileStreaming(on, client, target);
  client.pause();
  await turns(20);
};

const whileBackingOff: Moment = async ({ backingOff }, client, target) => {
  void client.send('\r\n');
  await expect.poll(() => backingOff.has(target), { interval: 1, timeout: 5_000 }).toBe(true);
};

const inTunnel =
  (leave: 'destroy' | 'halfClose'): Moment =>
  async (_, client) => {
    void client.send(HANDSHAKE);
    expect((await client.response()).status).toBe(101);
    void client.send('ping');
    await client.nextBytes();
    client[leave]();
    await client.waitForEnd();
  };

const BODY = Buffer.alloc(150_000, 'x');
const PART_OF_UPLOAD = `content-length: 900000\r\n\r\n${'x'.repeat(100_000)}`;

const KINDS: Readonly<Record<string, Kind>> = {
  'an answer': whole(200, '/api/json'),
  'an answer to an upload': whole(200, '/api/json', { method: 'POST', body: BODY }),
  'a stream': whole(200, '/api/events'),
  'stale connections': async (on, id) => {
    for (const path of ['/stale/stale', '/stale/stale/again']) await whole(200, path)(on, id);
  },
  'a cut stream': whole(200, '/api/cut-events'),
  'failures only': whole(503, '/api/unwell', { method: 'PUT', body: BODY }),
  'connections that close': whole(502, '/api/hang-up'),
  'uploads that are reset': whole(502, '/api/no-upload', { method: 'PUT', body: BODY }),
  'silence before the head': whole(504, '/hasty/silent'),
  'silence in the body': whole(200, '/mute/half-silent'),
  'an upload that nobody takes': rarely(
    whole(504, '/mute/full-upload', { method: 'POST', body: Buffer.alloc(8 * MIB) }),
  ),
  'a deadline': whole(504, '/late/silent'),
  'a refused connection': whole(502, '/dead/json', { method: 'POST', body: BODY }),
  'an open circuit': whole(503, '/open/unwell'),
  'a fallback': whole(200, '/ladder/json', { method: 'POST', body: BODY }),
  'the last fallback': whole(200, '/ladder/unwell'),
  'no route': whole(404, '/nowhere', { method: 'POST', body: BODY }),
  'a refused upgrade': leaving('/api/no-socket', async (_, client) => {
    void client.send(HANDSHAKE);
    await (await client.response()).ended();
  }),
  'leaving while it waits': leaving('/api/silent', afterHead('\r\n')),
  'leaving while it streams': leaving('/api/endless', whileStreaming),
  'leaving without having read': rarely(leaving('/api/flood', whileNotReading)),
  'leaving during backoff': leaving('/patient/unwell', whileBackingOff),
  'leaving during an upload': leaving('/api/json', afterHead(PART_OF_UPLOAD), 'POST'),
  'leaving during a handshake': leaving('/api/silent', afterHead(HANDSHAKE)),
  'a tunnel that is left': leaving('/api/socket', inTunnel('destroy')),
  'a tunnel that is closed': leaving('/api/socket', inTunnel('halfClose')),
};

/**
 * What there must be when nothing is under way. `running`, `notIdle`: requests on connections to upstreams, and connections
 * that are not free for one; `notPooled`: connections that the upstream has and no pool knows.
 */
const NOTHING = {
  active: 0,
  tunnels: 0,
  replayBytes: 0,
  running: 0,
  notIdle: 0,
  notPooled: 0,
  answering: 0,
};

function leftIn({ sidecar, upstream }: Ground): typeof NOTHING {
  const { dataPlane, supervisor } = sidecar;
  const pools = [...supervisor.runtime.upstreams.values()].flatMap(({ endpoints }) =>
    endpoints.members.map((member) => member.connections()),
  );
  const sum = (of: (pool: (typeof pools)[number]) => number): number =>
    pools.reduce((total, pool) => total + of(pool), 0);
  return {
    active: dataPlane.activeCount,
    tunnels: dataPlane.tunnelCount,
    replayBytes: dataPlane.replayBytes,
    running: sum(({ running }) => running),
    notIdle: sum(({ connected, free }) => connected - free),
    notPooled: upstream.connections.open - sum(({ connected }) => connected),
    answering: upstream.exchanges.open,
  };
}

const listenersOf = (emitters: Iterable<EventEmitter>): [string, number][] =>
  [...emitters].flatMap((one) =>
    one.eventNames().map((name): [string, number] => [String(name), one.listenerCount(name)]),
  );

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function heapBytes(): Promise<number> {
  for (let n = 0; n < 3; n++) {
    await turns(5);
    collectGarbage();
  }
  return process.memoryUsage().heapUsed;
}

let rounds = 0;

/** About a hundred exchanges; resolves when nothing of them is under way. */
async function round(on: Ground, atOnce = AT_ONCE): Promise<void> {
  const first = rounds++ * AT_ONCE;
  const ids = Array.from({ length: atOnce }, (_, n) => String(first + n));
  await Promise.all(Object.values(KINDS).flatMap((kind) => ids.map((id) => kind(on, id))));
  // What does not read does not notice that it was left.
  on.upstream.resume();
  await expect.poll(() => leftIn(on), { timeout: 5_000, interval: 5 }).toEqual(NOTHING);
  // Our own records would be the growth that we look for.
  for (const kept of [on.upstream.requests, on.upstream.aborts]) (kept as unknown[]).length = 0;
  on.backingOff.clear();
}

test('rounds of everything leave a sidecar as idle as it was, with no more listeners and no more heap', async () => {
  await using on = await prepare();
  const atRest = on.clock.armed.size;
  const { bus } = on.sidecar;
  const subscriptions = [vi.spyOn(bus, 'on').mock.calls, vi.spyOn(bus, 'onAny').mock.calls];
  await round(on);
  const listeners = listenersOf([process, ...on.servers]);
  const heap = [await heapBytes()];
  for (let n = 1; n <= 2; n++) {
    await round(on);
    heap.push(await heapBytes());
  }
  await expect.poll(() => on.clock.armed.size, { timeout: 5_000 }).toBe(atRest);
  collectGarbage();
  expect(on.exchanges.length).toBeGreaterThan(200);
  expect(on.exchanges.filter((exchange) => exchange.deref() !== undefined)).toEqual([]);
  expect(listenersOf([process, ...on.servers])).toEqual(listeners);
  expect(subscriptions).toEqual([[], []]);
  const growth = heap.slice(1).map((bytes, n) => bytes - (heap[n] ?? 0));
  expect(Math.max(...growth)).toBeLessThan(MIB);
});

test('a sidecar that closes after a load leaves no socket, listener or timer in the process', async () => {
  const leaks = await leakCheck();
  const on = await prepare();
  await round(on, 1).finally(() => on[Symbol.asyncDispose]());
  await leaks.settled();
  await expect.poll(() => on.clock.armed.size, { timeout: 5_000 }).toBe(0);
});
