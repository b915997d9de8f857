/**
 * Streams that nobody read any more lived on, and every request left a listener on its connection, until the process was
 * killed after days. When an exchange is over, however it ended, nothing of it is left on what outlives it.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { EventEmitter } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { closedPort } from '../support/dead-ports.ts';
import { rawClient, type RequestInit } from '../support/raw-client.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { flood, informational, respond } from '../support/steps/answers.ts';
import { closeBeforeResponse, cutMidBody } from '../support/steps/cuts.ts';
import { sse } from '../support/steps/event-stream.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import type { RequestStep, Script } from '../support/upstream/step.ts';
import { turns } from '../support/turns.ts';
import { apiAt, ownSidecar, type OwnSidecar } from './own-sidecar.ts';

/** All objects that a diagnostics channel tells of under `key`, from now to the end of the test. */
function seenOn(channel: string, key: string): Set<EventEmitter> {
  const seen = new Set<EventEmitter>();
  const listener = (message: unknown): void => {
    seen.add((message as Record<string, EventEmitter>)[key] as EventEmitter);
  };
  subscribe(channel, listener);
  onTestFinished(() => void unsubscribe(channel, listener));
  return seen;
}

const listenersOn = (emitters: Iterable<EventEmitter>): Record<string, number>[] =>
  [...emitters].map((emitter) =>
    Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)])),
  );

const GOOD: Readonly<Record<string, RequestStep>> = {
  '/plain': respond({ body: 'ok' }),
  '/chunks': respond({ framing: 'chunked', body: ['a', 'b'], trailers: { 'x-sum': '1' } }),
  '/events': sse({ events: ['one', 'two'] }),
  '/hints': informational([{ status: 103 }], respond({ body: 'ok' })),
  '/large': flood(1_000_000),
  '/none': respond({ status: 204 }),
};

it('twenty rounds on connections that live on leave no listener on them', async () => {
  const client = seenOn('http.server.request.start', 'socket');
  const servers = seenOn('http.server.request.start', 'server');
  const pooled = seenOn('undici:client:sendHeaders', 'socket');
  let refusals = 0;
  const script: Script = ({ target, method }) =>
    method === 'PUT' && refusals++ % 2 === 0 ? respond({ status: 503 }) : (GOOD[target] ?? respond());
  await using upstream = await scriptedUpstream(script);
  const retry =
    'policies: { retry: { backoff: { initial: 0s, max: 0s }, budget: false }, circuitBreaker: false }';
  await using own = await ownSidecar(apiAt(upstream.origin, retry));
  await using raw = await rawClient(own.port);
  const requests: RequestInit[] = [
    ...Object.keys(GOOD).map((path) => ({ path: `/api${path}` })),
    { method: 'POST', path: '/api/plain', body: Buffer.alloc(200_000) },
    { method: 'PUT', path: '/api/plain', body: 'again', chunked: true },
  ];
  const round = async (): Promise<Record<string, number>[]> => {
    for (const init of requests) await (await raw.request(init)).bytes();
    await expect.poll(() => own.sidecar.dataPlane.activeCount, { interval: 1 }).toBe(0);
    await turns(5);
    return listenersOn([...client, ...servers, ...pooled]);
  };
  const first = await round();
  for (let n = 2; n < 20; n++) await round();
  expect(await round()).toEqual(first);
  // The retry goes out before its connection is free again, on a second one.
  expect([client.size, servers.size, pooled.size]).toEqual([1, 1, 2]);
});

interface Row {
  readonly step: RequestStep;
  readonly method?: string;
  readonly afterMs?: number;
  readonly attempts?: number;
}

const ENDINGS: readonly [title: string, row: Row][] = [
  ['was answered', { step: respond({ body: 'ok' }) }],
  ['was streamed', { step: sse({ events: ['one'] }) }],
  ['was refused for good', { step: respond({ status: 404 }) }],
  ['failed three times', { step: respond({ status: 503 }), method: 'PUT', attempts: 3 }],
  ['met closing connections', { step: closeBeforeResponse(), method: 'PUT', attempts: 3 }],
  ['was cut', { step: cutMidBody() }],
  ['stalled before its head', { step: stall(), afterMs: 60_000 }],
  ['stalled in its body', { step: stallAfterHead({}, ['part']), afterMs: 120_000 }],
];
const AT_ONCE = 'retry: { backoff: { initial: 0s, max: 0s }, budget: false }, circuitBreaker: false';

async function expectNothingLeft(own: OwnSidecar, atRest: number): Promise<void> {
  const [ending] = await own.until('exchange-ended');
  const { exchange } = ending ?? expect.unreachable();
  const cancellations = [exchange, ...exchange.attempts].map(({ cancellation }) => cancellation);
  expect(cancellations.map(({ listenerCount }) => listenerCount)).toEqual(cancellations.map(() => 0));
  await own.clock.advance(1_000);
  expect(own.clock.pendingTimers).toBe(atRest);
  expect([own.sidecar.dataPlane.activeCount, own.sidecar.dataPlane.replayBytes]).toEqual([0, 0]);
}

async function runningNothing(own: OwnSidecar, upstream: ScriptedUpstream): Promise<void> {
  const [endpoint] = own.sidecar.supervisor.runtime.upstreams.get('api')?.endpoints.members ?? [];
  await upstream.waitForIdle();
  await expect.poll(() => endpoint?.connections().running).toBe(0);
}

it.each(ENDINGS)('an exchange that %s leaves no listener, timer or byte', async (_, row) => {
  const { step, method = 'POST', afterMs = 0, attempts = 1 } = row;
  // Without a deadline, nothing stands between the attempts and the exchange.
  for (const deadline of ['{}', 'false']) {
    await using upstream = await scriptedUpstream([step]);
    const policies = `policies: { ${AT_ONCE}, deadline: ${deadline} }`;
    await using own = await ownSidecar(apiAt(upstream.origin, policies));
    const atRest = own.clock.pendingTimers;
    const answer = own.send({ method, body: 'x'.repeat(50_000) });
    await upstream.waitForRequest(attempts);
    await turns(5);
    await own.clock.advance(afterMs);
    await (await answer).ended();
    await expectNothingLeft(own, atRest);
    await runningNothing(own, upstream);
    expect(upstream.requests).toHaveLength(attempts);
  }
});

it('an exchange that no upstream could take leaves nothing either', async () => {
  await using dead = await closedPort();
  const ladder = `policies: { ${AT_ONCE}, fallback: [{ static: { body: sorry } }] }`;
  await using own = await ownSidecar(apiAt(`http://127.0.0.1:${dead.port}`, ladder));
  const atRest = own.clock.pendingTimers;
  expect(await (await own.send({ method: 'POST', body: 'x' })).text()).toBe('sorry');
  await expectNothingLeft(own, atRest);
});

it.each([
  ['has stopped reading', flood(64_000_000)],
  ['is being sent events', sse({ events: ['one'], end: 'stall' })],
])('a stream whose client vanishes while it %s is no zombie', async (_, step) => {
  await using upstream = await scriptedUpstream([step]);
  await using own = await ownSidecar(apiAt(upstream.origin));
  const atRest = own.clock.pendingTimers;
  await using client = await rawClient(own.port);
  const response = await client.request({ path: '/api/x' });
  await response.nextChunk();
  client.pause();
  await turns(50);
  client.reset();
  await upstream.waitForAbort();
  await expectNothingLeft(own, atRest);
  await runningNothing(own, upstream);
});

it('an upload that is left after an early answer leaves no timer', async () => {
  await using own = await ownSidecar(apiAt('http://127.0.0.1:1'));
  const atRest = own.clock.pendingTimers;
  await using client = await rawClient(own.port);
  void client.send(`POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\n${'x'.repeat(9_000)}`);
  expect((await client.response()).status).toBe(404);
  client.destroy();
  await expect.poll(() => own.clock.pendingTimers, { timeout: 300 }).toBe(atRest);
});

it('a large failed answer that nobody wants leaves no timer', async () => {
  const large = respond({ status: 503, body: Buffer.alloc(200_000) });
  await using upstream = await scriptedUpstream([large, respond({ body: 'ok' })]);
  await using own = await ownSidecar(apiAt(upstream.origin, `policies: { ${AT_ONCE} }`));
  const atRest = own.clock.pendingTimers;
  expect(await (await own.send()).text()).toBe('ok');
  await runningNothing(own, upstream);
  await expect.poll(() => own.clock.pendingTimers, { timeout: 300 }).toBe(atRest);
});
