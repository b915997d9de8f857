/** A cache with its own clock, requests to it, and an upstream that plays a script. */
import type { Exchange } from '../../src/core/exchange.ts';
import { headerValue } from '../../src/core/header-list.ts';
import type { Outcome, ResponseOutcome } from '../../src/core/outcome.ts';
import type { PolicyDeps } from '../../src/core/policy.ts';
import { bodyOfBytes } from '../../src/core/request-bodies.ts';
import { ReplayBody } from '../../src/core/stored-answer.ts';
import type { Cache } from '../../src/policies/cache.ts';
import { cache } from '../../src/policies/cache.ts';
import { settle } from '../support/fake-clock.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { CollectingSink, Script, after, exchangeAt, kit, respond } from '../support/policy-kit.ts';
import type { ExchangeParts, Kit, Step } from '../support/policy-kit.ts';

/** An answer whose body is there at once, in these chunks. */
export function answer(
  headers: readonly string[],
  chunks: readonly string[] = ['hello'],
  status = 200,
): ResponseOutcome {
  const head = { status, statusText: '', headers };
  const body = new ReplayBody({ head, chunks: chunks.map((text) => Buffer.from(text)), trailers: [] });
  return respond(status, { headers, body });
}

/** The same, made anew for every call. */
export const answers =
  (headers: readonly string[], chunks: readonly string[] = ['hello'], status = 200): Step<Exchange> =>
  () =>
    answer(headers, chunks, status);

/** What `make` makes, after a while. */
export const delayed =
  (clock: FakeClock, ms: number, make: (exchange: Exchange) => Outcome): Step<Exchange> =>
  (exchange, cancellation) =>
    after(clock, ms, make(exchange))(exchange, cancellation);

export const notModified = (headers: readonly string[] = []): Step<Exchange> => answers(headers, [], 304);

export interface Visit {
  readonly exchange: Exchange;
  readonly outcome: () => Outcome | undefined;
}

/** What a client sees of an answer. */
export interface Seen {
  readonly status: number;
  readonly text: string;
  readonly chunks: number;
  readonly from: string;
  readonly age: string | undefined;
  readonly cacheStatus: string | undefined;
}

export class CacheRig {
  readonly kit: Kit;
  readonly policy: Cache;
  readonly upstream: Script<Exchange>;

  constructor(
    options: unknown,
    steps: readonly Step<Exchange>[] | ((clock: FakeClock) => readonly Step<Exchange>[]),
    deps: Partial<PolicyDeps> = {},
  ) {
    this.kit = kit(deps);
    this.policy = this.build(options);
    const all = typeof steps === 'function' ? steps(this.clock) : steps;
    this.upstream = new Script<Exchange>(this.clock, ...all);
  }

  build(options: unknown, previous?: Cache, deps: Partial<PolicyDeps> = {}): Cache {
    return cache.build(cache.schema.parse(options), { ...this.kit.deps, ...deps }, previous) as Cache;
  }

  get clock(): Kit['clock'] {
    return this.kit.clock;
  }

  /** Requests that the upstream got. */
  get asked(): number {
    return this.upstream.calls.length;
  }

  /** A field of the request that the upstream got last. */
  lastAsked(name: string): string | undefined {
    return headerValue(this.upstream.calls.at(-1)?.scope.request.headers ?? [], name);
  }

  get results(): string[] {
    return this.kit.events.of('cache-consulted').map(({ result }) => result);
  }

  get kept(): string[] {
    return this.kit.events.of('cache-kept').map(({ result }) => result);
  }

  start(parts: ExchangeParts = {}, policy = this.policy): Visit {
    const exchange = exchangeAt(this.clock, parts);
    let outcome: Outcome | undefined;
    void policy
      .run(exchange, this.upstream.next, exchange.cancellation)
      .then((settled) => (outcome = settled));
    return { exchange, outcome: () => outcome };
  }

  async outcomeOf(parts: ExchangeParts = {}, policy = this.policy): Promise<Outcome> {
    const { outcome } = this.start(parts, policy);
    await settle();
    const settled = outcome();
    if (!settled) throw new Error('there is no outcome yet');
    return settled;
  }

  /** A GET, or what `parts` say, read to its end. */
  async get(parts: ExchangeParts = {}, policy = this.policy): Promise<Seen> {
    const seen = read(await this.outcomeOf(parts, policy));
    await settle();
    return seen;
  }

  /** A GET with these fields. */
  getWith(headers: readonly string[], target = '/v1/things'): Promise<Seen> {
    return this.get({ request: { headers, target } });
  }
}

/** A POST of that JSON text. */
export const post = (
  text: string,
  { target = '/v1/chat/completions', headers = [] as readonly string[] } = {},
): ExchangeParts => ({
  request: { method: 'POST', target, headers: ['content-type', 'application/json', ...headers] },
  body: bodyOfBytes(Buffer.from(text)),
});

export function read(outcome: Outcome): Seen {
  if (outcome.kind !== 'response') throw new Error(`expected a response, got ${outcome.reason}`);
  const sink = new CollectingSink();
  outcome.body.pipe(sink);
  const { status, headers } = outcome.head;
  return {
    status,
    text: sink.text,
    chunks: sink.chunks.length,
    from: outcome.from,
    age: headerValue(headers, 'age'),
    cacheStatus: headerValue(headers, 'cache-status'),
  };
}
