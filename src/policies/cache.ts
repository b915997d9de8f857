/**
 * Answers from what was answered before, and lets those who ask the same at the same time share one exchange. It stands
 * outside everything that costs something: a hit takes no permit, no token, no time of the upstream; and inside deadline
 * and ladder, which stay each client's own. What it has past its time it leaves for the ladder.
 */
import { hash } from 'node:crypto';
import { cacheStatus } from '../caching/cache-status.ts';
import { Copy } from '../caching/copy.ts';
import { hasEffect, joined, leaveForLadder } from '../caching/endings.ts';
import { marked, notCached, outcomeOf, whyForwarded } from '../caching/endings.ts';
import { Fetcher } from '../caching/fetcher.ts';
import type { KeepResult } from '../caching/keeping.ts';
import { groupOfGet, Planner } from '../caching/plan.ts';
import { locate } from '../caching/shelf.ts';
import { CacheState } from '../caching/state.ts';
import type { CacheResult } from '../caching/state.ts';
import { Trips } from '../caching/trips.ts';
import type { RefreshResult } from '../caching/trips.ts';
import type { Visit } from '../caching/visit.ts';
import type { AnswerStore, PurgeFilter, ShelfBounds } from '../core/answer-store.ts';
import { abandonedInLine } from '../core/abandoned.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Exchange } from '../core/exchange.ts';
import { discard } from '../core/outcome.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import type { VerdictClass } from '../core/verdict.ts';
import { cacheSchema } from '../schema/cache.ts';
import type { CacheOptions } from '../schema/cache.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** It is known where a request's answer comes from. Emitted once for each, whether it was one for the cache or not. */
    'cache-consulted': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly result: CacheResult;
    };
    /** An answer that had to be fetched was kept, or not. */
    'cache-kept': { readonly upstream: string; readonly result: KeepResult };
    /** A copy past its time was renewed in the background, or could not be. */
    'cache-refreshed': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly result: RefreshResult;
    };
    /** An operator let go of answers; undefined: the shared ones could not be reached, or not all. */
    'cache-purged': { readonly upstream: string; readonly entries: number | undefined };
  }
}

/** Classes of outcomes for which a copy past its time stands in. */
const TROUBLE: ReadonlySet<VerdictClass> = new Set(['transient', 'throttled', 'overloaded', 'refused']);

export class Cache implements Policy<Exchange> {
  readonly name = 'cache';
  readonly #options: CacheOptions;
  readonly #deps: PolicyDeps;
  readonly #planner: Planner;
  /** Whose answers these are, and where: what they must not outlive. */
  readonly #space: string;
  readonly #store: AnswerStore;
  readonly #state: CacheState;
  /** True until the first exchange after a reload: until then, the new configuration may yet be refused. */
  #isSuccessor: boolean;
  #hasSuccessor = false;
  #trips: Trips;

  constructor(options: CacheOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    this.#options = options;
    this.#deps = deps;
    this.#planner = new Planner(options);
    this.#space = spaceOf(options, deps);
    this.#store = deps.stores(options.shared).answers;
    const inherited = previous instanceof Cache && previous.#keepsWhere(this) ? previous : undefined;
    this.#isSuccessor = inherited !== undefined;
    if (inherited) inherited.#hasSuccessor = true;
    this.#state = inherited ? inherited.#state : this.#newState();
    this.#trips = this.#newTrips();
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    if (this.#isSuccessor) this.#takeOver();
    // What one endpoint says is no answer of the others, nor theirs its.
    if (exchange.pinnedTo !== undefined) return this.#passBy(exchange, next, cancellation);
    const planned = this.#planner.plan(exchange, cancellation);
    const plan = planned instanceof Promise ? await planned : planned;
    if (!plan) return this.#passBy(exchange, next, cancellation);
    const looked = locate(this.#state.shelf, plan.key, exchange.request.headers);
    const { key, found, varies } = looked instanceof Promise ? await looked : looked;
    const copy = found && new Copy(found, plan.kind, this.#deps.clock);
    return this.#serve({ exchange, next, cancellation, plan, key, copy, varies });
  }

  /**
   * Lets go of answers, and keeps none that are on their way. For operators.
   *
   * @returns how many; undefined where it could not be done, or not to its end
   */
  async purge(filter: PurgeFilter): Promise<number | undefined> {
    this.#state.voidAll();
    const entries = await this.#state.shelf.purge(filter);
    this.#deps.emit('cache-purged', { upstream: this.#deps.upstream, entries });
    return entries;
  }

  snapshot(): Snapshot {
    const { shelf, counts, flights, memory, refreshing } = this.#state;
    return {
      entries: shelf.held?.entries ?? null,
      bytes: shelf.held?.bytes ?? null,
      bytesOnTheirWay: memory.usedBytes,
      flights: flights.size,
      refreshing: refreshing.size,
      ...counts,
    };
  }

  dispose(): void {
    // What is renewed for those to come is renewed for nobody now; exchanges under way finish.
    if (!this.#hasSuccessor)
      for (const cancellation of [...this.#state.refreshing]) cancellation.cancel('shutdown');
  }

  #keepsWhere(other: Cache): boolean {
    return this.#space === other.#space && this.#store === other.#store;
  }

  #newState(): CacheState {
    const shelf = this.#store.open(this.#space, boundsOf(this.#options));
    return new CacheState(shelf, this.#options.maxBytes);
  }

  #newTrips(): Trips {
    const { clock, emit, upstream } = this.#deps;
    const { shelf, voids, memory } = this.#state;
    const onKept = (result: KeepResult): void => emit('cache-kept', { upstream, result });
    const fetcher = new Fetcher(this.#options, { clock, shelf, memory, voids, onKept });
    return new Trips(this.#options, { clock, state: this.#state, fetcher });
  }

  #takeOver(): void {
    this.#isSuccessor = false;
    this.#state.resize(boundsOf(this.#options));
    this.#trips = this.#newTrips();
  }

  #tell(exchange: Exchange, result: CacheResult): void {
    this.#state.counts[result] += 1;
    this.#deps.emit('cache-consulted', { exchange, upstream: this.#deps.upstream, result });
  }

  async #passBy(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    this.#tell(exchange, 'bypass');
    const outcome = await next(exchange, cancellation);
    if (this.#options.get !== false && hasEffect(exchange, outcome)) this.#state.void(groupOfGet(exchange));
    return outcome;
  }

  #serve(visit: Visit): Outcome | Promise<Outcome> {
    const { copy, plan, exchange, cancellation } = visit;
    const use = copy?.usability(plan.demands, this.#options) ?? 'ask';
    if (copy && use !== 'ask') {
      if (use === 'refresh') void this.#refresh(visit);
      this.#tell(exchange, copy.ttlMs > 0 ? 'hit' : 'stale');
      const detail = use === 'refresh' ? { detail: 'stale-while-revalidate' } : {};
      return copy.answer(exchange.request, { key: plan.key.group, ...detail }, cancellation);
    }
    if (plan.demands.onlyIfCached) {
      this.#tell(exchange, 'miss');
      return notCached(this.name);
    }
    if (copy?.mayBeStale) leaveForLadder(exchange, copy);
    return this.#ask(visit);
  }

  async #ask(visit: Visit): Promise<Outcome> {
    const { exchange, copy, cancellation, plan } = visit;
    const arrival = await this.#trips.answerFor(visit);
    if (!arrival) {
      this.#tell(exchange, 'miss');
      return abandonedInLine(
        visit.exchange,
        visit.cancellation,
        'while waiting for an answer that others wait for, too',
      );
    }
    const { seat, first } = arrival;
    const { landing } = seat;
    if (landing.kind === 'copy') {
      this.#tell(exchange, first ? 'revalidated' : 'joined');
      const status = { fwd: 'stale', fwdStatus: 304, collapsed: !first, key: plan.key.group } as const;
      return landing.copy.answer(exchange.request, status, cancellation);
    }
    const outcome = outcomeOf(landing, seat);
    if (copy?.standsIn(this.#options) && !cancellation.cancelled && TROUBLE.has(outcome.verdict.class))
      return this.#standIn(visit, copy, outcome);
    this.#tell(exchange, first ? 'miss' : 'joined');
    if (outcome.kind === 'response' && outcome.tunnel) return outcome;
    const stored = landing.kind === 'shared' && landing.keeps;
    const key = stored ? { stored, key: plan.key.group } : {};
    const field = cacheStatus({ fwd: whyForwarded(visit), collapsed: !first, ...key });
    if (!first) return joined(outcome, field);
    return outcome.kind === 'response' ? marked(outcome, field) : outcome;
  }

  #standIn({ exchange, cancellation }: Visit, copy: Copy, trouble: Outcome): Outcome {
    discard(trouble);
    this.#tell(exchange, 'stale');
    const fwdStatus = trouble.kind === 'response' ? { fwdStatus: trouble.head.status } : {};
    const status = { fwd: 'stale', ...fwdStatus, detail: 'stale-if-error' } as const;
    return copy.answer(exchange.request, status, cancellation);
  }

  async #refresh(visit: Visit): Promise<void> {
    const result = await this.#trips.refresh(visit);
    const { upstream, emit } = this.#deps;
    if (result) emit('cache-refreshed', { exchange: visit.exchange, upstream, result });
  }
}

const boundsOf = ({ maxBytes, maxEntryBytes }: CacheOptions): ShelfBounds => ({ maxBytes, maxEntryBytes });

/** Answers must not outlive the service that gave them, nor the account that they were given to. */
function spaceOf({ shared }: CacheOptions, { owner, endpoints, credentials }: PolicyDeps): string {
  const source = [[...endpoints].sort(), credentials.map(({ id }) => id).sort()];
  return `${owner}:${shared ? 's' : 'o'}:${hash('sha256', JSON.stringify(source), 'base64url').slice(0, 16)}`;
}

export const cache: PolicyModule<Exchange, typeof cacheSchema> = {
  name: 'cache',
  key: 'cache',
  schema: cacheSchema,
  onByDefault: false,
  knowsCredentials: true,
  knowsEndpoints: true,
  build: (options, deps, previous) => new Cache(options, deps, previous),
};
