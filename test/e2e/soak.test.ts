/**
 * Round after round of everything that agents do and upstreams do to them, through one sidecar in a process of its own.
 * No round may leave more behind than the one before: not the level counts, but the trend. `SOAK_ROUNDS` asks for more.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { rawClient, requestBytes, type RawClient, type RequestInit } from '../support/raw-client.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { closeBeforeResponse } from '../support/steps/cuts.ts';
import { sse } from '../support/steps/event-stream.ts';
import { stall } from '../support/steps/silence.ts';
import { growthPerStep } from '../support/trend.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { CHAT_JSON, chatChunk } from '../support/openai-fixtures.ts';
import type { Measurement, SoakCommand } from './soak-sidecar.ts';

/** What every upstream has on. A policy that is added here is soaked with the others. */
const POLICIES = `
    deadline: { after: 20s }
    cache: { keepStale: 0s }
    idempotency: {}
    spendCap: { tokens: 1000000 }
    rateLimit: { requests: 1000000, per: 1s, by: agent }
    bulkhead: { maxConcurrent: 1000, adaptive: { initial: 1000, min: 1000 } }
    retry: { maxRetries: RETRIES, backoff: { initial: 1ms, max: 2ms }, budget: false }
    hedge: { after: 30ms, budget: { floor: 100000 } }
    pacing: { spread: 0s }
    adaptiveThrottling: { minimumRequests: 1000000 }
    circuitBreaker: { consecutiveFailures: false, failureRatio: false }
    attemptTimeout: { firstByte: 10s }
`;

const configOf = (a: string, b: string, retries: number): string => `
admin: { journal: 10 }
defaults:
  policies:${POLICIES.replace('RETRIES', String(retries))}
upstreams:
  api: { route: /api, keepAlive: 50ms, endpoints: [{ url: "${a}" }, { url: "${b}" }] }
  # Of its own: while calls wait for a limit, spares are refused.
  throttled: { route: /throttled, keepAlive: 50ms, endpoints: [{ url: "${a}" }] }
  learnt: { route: /learnt, keepAlive: 50ms, endpoints: [{ url: "${a}" }, { url: "${b}" }], policies: { hedge: { after: { learn: p75, min: 5ms, minimumSamples: 5 } } } }
  models: { route: /models, dialect: openai, idempotent: compute, keepAlive: 50ms, endpoints: [{ url: "${a}" }, { url: "${b}" }] }
  ladder:
    route: /ladder
    keepAlive: 50ms
    endpoints: [{ url: "${a}" }]
    policies: { retry: false, fallback: [{ upstream: api }, { static: { body: sorry } }] }
  keyed: { route: /keyed, keepAlive: 50ms, credentials: { header: authorization, keys: [{ name: k1, value: Bearer-one }, { name: k2, value: Bearer-two }] }, endpoints: [{ url: "${a}" }] }
`;

const ROUNDS = Number(process.env['SOAK_ROUNDS'] ?? 8);
/** Exchanges of every kind in a round. */
const AT_ONCE = 4;
/** The same before the measuring begins: code is compiled meanwhile, and pools grow to a size that they do not exceed later. */
const AT_ONCE_FIRST = 12;

/** Longest wait for anything: machines that run other tests beside this one are slow. */
const PATIENCE_MS = 15_000;

/** Bytes by which a round may seem to grow, because code is still being compiled. */
const HEAP_TOLERANCE = 250_000;
const BUFFER_TOLERANCE = 20_000;
/**
 * Objects that may be left of each exchange. They are counted exactly; but a pool that finds room for one more is a hundred,
 * and a few may in any run: there are rounds enough that those do not look like one left of each exchange.
 */
const OBJECTS_LEFT = 0.8;

const WORDS = ['one', 'two', 'three'].map((content) => chatChunk({ content }));

/** Calls that are treated in another way the second time, by their target. */
const asked = new Set<string>();

function secondTime(target: string): boolean {
  if (!asked.delete(target)) asked.add(target);
  return !asked.has(target);
}

/** By the first part of the query, or else of the path. */
const STEPS: Readonly<Record<string, (target: string) => RequestStep>> = {
  json: () => respondJson({ ok: true }),
  flaky: (target) => (secondTime(target) ? respond({ body: 'at last' }) : respond({ status: 503 })),
  broken: (target) => (secondTime(target) ? respond({ body: 'at last' }) : closeBeforeResponse()),
  late: (target) => (secondTime(target) ? respond({ body: 'spare' }) : stall()),
  throttled: (target) =>
    secondTime(target)
      ? respond({ body: 'room' })
      : respond({ status: 429, headers: { 'retry-after-ms': '1' } }),
  unwell: () => respond({ status: 500, body: 'no'.repeat(5_000) }),
  silent: () => stall(),
  endless: () => sse({ events: WORDS, end: 'stall' }),
  words: () => sse({ events: WORDS, terminator: '[DONE]' }),
  cut: () => sse({ events: WORDS, end: 'cut' }),
  'late-words': (target) => (secondTime(target) ? sse({ events: WORDS, terminator: '[DONE]' }) : stall()),
  chat: () => respondJson(CHAT_JSON),
};

function stepFor({ target }: { readonly target: string }): RequestStep {
  const [name = ''] = (target.split('?')[1] ?? target.slice(1)).split('/');
  return STEPS[name]?.(target) ?? respond({ status: 404 });
}

class Soaked implements AsyncDisposable {
  readonly upstreams: readonly [ScriptedUpstream, ScriptedUpstream];
  port = 0;
  readonly #folder = mkdtempSync(join(tmpdir(), 'outrigger-soak-'));
  readonly #child: ChildProcess;
  #retries = 1;

  constructor(upstreams: readonly [ScriptedUpstream, ScriptedUpstream]) {
    this.upstreams = upstreams;
    this.#write();
    this.#child = fork(fileURLToPath(new URL('soak-sidecar.ts', import.meta.url)), [this.#file], {
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
    });
  }

  static async start(): Promise<Soaked> {
    const soaked = new Soaked([await scriptedUpstream(stepFor), await scriptedUpstream(stepFor)]);
    soaked.port = ((await soaked.#hear('message')) as { port: number }).port;
    return soaked;
  }

  async tell(command: SoakCommand): Promise<unknown> {
    const answered = this.#hear('message');
    this.#child.send(command);
    return answered;
  }

  /** What the process says next. Rejects where it says nothing for long: whoever waits must not wait for ever. */
  async #hear(event: 'message' | 'exit'): Promise<unknown> {
    const [what] = (await once(this.#child, event, {
      signal: AbortSignal.timeout(2 * PATIENCE_MS),
    })) as unknown[];
    return what;
  }

  /** Another configuration, which becomes the one in force. */
  async reload(): Promise<void> {
    this.#retries = 3 - this.#retries;
    this.#write();
    expect(await this.tell('reload')).toBe(true);
  }

  /** Resolves when the process has ended by itself. */
  async stop(): Promise<unknown> {
    const exited = this.#hear('exit');
    this.#child.send('stop' satisfies SoakCommand);
    return exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
    for (const upstream of this.upstreams) await upstream[Symbol.asyncDispose]();
  }

  get #file(): string {
    return join(this.#folder, 'outrigger.yaml');
  }

  #write(): void {
    const [a, b] = this.upstreams;
    writeFileSync(this.#file, configOf(a.origin, b.origin, this.#retries));
  }
}

type Kind = (on: Soaked, id: string) => Promise<void>;

/** An exchange to its end. */
const whole =
  (status: number, path: string, init: RequestInit = {}): Kind =>
  async ({ port }, id) => {
    await using client = await rawClient(port);
    void client.send(requestBytes({ ...init, path: `${path}/${id}` }));
    const response = await client
      .response(init.method, { timeoutMs: PATIENCE_MS })
      .catch((error: unknown) => {
        throw new Error(`no answer from ${path}`, { cause: error });
      });
    await response.ended();
    expect(response.status, path).toBe(status);
  };

/** Its client leaves when `until` says so. */
const leaving =
  (path: string, until: (client: RawClient, on: Soaked, target: string) => Promise<unknown>): Kind =>
  async (on, id) => {
    await using client = await rawClient(on.port);
    void client.send(requestBytes({ path: `${path}/${id}` }));
    await until(client, on, `/${path.split('/')[2] ?? ''}/${id}`);
    if (Number(id) % 2 === 0) client.reset();
  };

const whenAsked = async (_: RawClient, { upstreams }: Soaked, target: string): Promise<void> => {
  const isThere = ({ requests }: ScriptedUpstream): boolean => requests.some((one) => one.target === target);
  await Promise.race(
    upstreams.map((one) => one.waitUntil(() => isThere(one), target, { timeoutMs: PATIENCE_MS })),
  );
};

const whenStreaming = async (client: RawClient): Promise<void> => {
  await (await client.response('GET', { timeoutMs: PATIENCE_MS })).nextChunk();
};

const CHAT: RequestInit = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'm', messages: [], stream: true }),
};
const UPLOAD: RequestInit = { method: 'PUT', body: Buffer.alloc(150_000, 'x') };
const KEYED: RequestInit = { method: 'POST', body: 'pay', headers: { 'idempotency-key': 'k' } };

const KINDS: readonly Kind[] = [
  whole(200, '/api/json'),
  whole(200, '/api/json', UPLOAD),
  whole(200, '/api/flaky'),
  whole(200, '/api/broken'),
  whole(200, '/api/late'),
  whole(200, '/api/late', KEYED),
  whole(200, '/throttled/throttled'),
  whole(500, '/api/unwell'),
  whole(200, '/api/words'),
  whole(200, '/api/cut'),
  whole(200, '/ladder/unwell'),
  whole(200, '/ladder/json', UPLOAD),
  whole(200, '/keyed/json'),
  whole(200, '/learnt/json'),
  whole(404, '/nowhere'),
  whole(200, '/models/v1/chat/completions?words', CHAT),
  whole(200, '/models/v1/chat/completions?late-words', CHAT),
  whole(200, '/models/v1/chat/completions?cut', CHAT),
  whole(200, '/models/v1/chat/completions?chat', { ...CHAT, body: '{"model":"m","messages":[]}' }),
  leaving('/api/silent', whenAsked),
  leaving('/api/endless', whenStreaming),
  leaving('/models/endless', whenStreaming),
];

let ids = 0;

/** @returns how many exchanges there were */
async function traffic(on: Soaked, atOnce: number): Promise<number> {
  const ways = KINDS.flatMap((kind) => Array.from({ length: atOnce }, () => kind(on, String(ids++))));
  await on.reload();
  await Promise.all(ways);
  for (const { requests, aborts } of on.upstreams)
    for (const kept of [requests, aborts]) (kept as unknown[]).length = 0;
  return ways.length;
}

const measured = (on: Soaked): Promise<Measurement> => on.tell('measure') as Promise<Measurement>;
const objectsIn = (on: Soaked): Promise<number> => on.tell('objects') as Promise<number>;

test(
  'rounds of everything leave nothing behind that the round before had not left',
  async () => {
    await using on = await Soaked.start();
    for (const atOnce of [AT_ONCE_FIRST, AT_ONCE]) await traffic(on, atOnce);
    await measured(on);
    const objectsBefore = await objectsIn(on);
    const rounds: Measurement[] = [];
    let exchanges = 0;
    for (let n = 0; n < ROUNDS; n++) {
      exchanges += await traffic(on, AT_ONCE);
      rounds.push(await measured(on));
    }
    const row = (name: keyof Measurement): number[] => rounds.map((one) => one[name]);
    for (const name of ['timers', 'sockets', 'inFlight', 'keptExchanges'] as const)
      expect(row(name), name).toEqual(rounds.map(() => 0));
    for (const name of ['listeners', 'openFiles'] as const)
      expect(growthPerStep(row(name)), `${name}: ${row(name).join(' ')}`).toBeLessThan(1);
    // What never happened before may have its series; what each exchange has must not.
    const series = row('series');
    expect(growthPerStep(series), `series: ${series.join(' ')}`).toBeLessThan((KINDS.length * AT_ONCE) / 4);
    const [heap, buffers] = [row('heapBytes'), row('bufferBytes')];
    expect(growthPerStep(heap), `heap: ${heap.join(' ')}`).toBeLessThan(HEAP_TOLERANCE);
    expect(growthPerStep(buffers), `buffers: ${buffers.join(' ')}`).toBeLessThan(BUFFER_TOLERANCE);
    const left = (await objectsIn(on)) - objectsBefore;
    expect(left / exchanges, `${left} objects of ${exchanges} exchanges`).toBeLessThan(OBJECTS_LEFT);
    expect(await on.stop()).toBe(0);
  },
  60_000 + ROUNDS * 5_000,
);
