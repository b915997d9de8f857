/**
 * Takes an endpoint that fails out of the choice while others do not, and lets it back by single calls. It stands inside
 * resume, so that it sees every part of a broken stream, and outside the timers, so that it sees timeouts.
 */
import { Ejection, longestEjectionMs } from '../algorithms/ejection.ts';
import type { EjectionOptions, Visit } from '../algorithms/ejection.ts';
import { endingOf } from '../algorithms/endpoint-ending.ts';
import type { Ending } from '../algorithms/endpoint-ending.ts';
import { EndpointHistory, outlierReason } from '../algorithms/outlier-rules.ts';
import type { OutlierReason } from '../algorithms/outlier-rules.ts';
import type { Tried } from '../algorithms/share-bounds.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Ejectable } from '../core/ejections.ts';
import type { Attempt } from '../core/exchange.ts';
import type { Outcome, ResponseOutcome } from '../core/outcome.ts';
import { finalVerdict } from '../core/outcome.ts';
import type { Instants, PersistentState } from '../core/persistence.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { outlierDetectionSchema, savedOutliersSchema } from '../schema/outlier-detection.ts';
import type { OutlierDetectionOptions, SavedOutlier } from '../schema/outlier-detection.ts';
import { saveWindow, talliesOf } from '../schema/saved.ts';

/** `probe`: a call that was to find out whether it is back failed. */
export type EjectionReason = OutlierReason | 'probe';

declare module '../core/events.ts' {
  interface EventMap {
    'endpoint-ejected': {
      readonly upstream: string;
      readonly endpoint: string;
      readonly reason: EjectionReason;
      /** Ejections in a row, this one included. */
      readonly count: number;
      /** Milliseconds until it may be tried again. */
      readonly forMs: number;
    };
    /** It is back. `check`: an active check reached it. */
    'endpoint-returned': {
      readonly upstream: string;
      readonly endpoint: string;
      readonly by: 'probe' | 'check';
      readonly count: number;
    };
    /** It would have been ejected. `cap`: enough others are. `last`: nobody well would be left. Once, until it succeeds. */
    'ejection-withheld': {
      readonly upstream: string;
      readonly endpoint: string;
      readonly reason: OutlierReason;
      readonly why: 'cap' | 'last';
    };
  }
}

/** What is known of one endpoint. */
interface EndpointRecord {
  readonly endpoint: Ejectable;
  readonly ejection: Ejection;
  history: EndpointHistory;
  /** Why it is out, or was the last time. */
  reason: EjectionReason | undefined;
  /** That it would have been ejected was told. */
  withheld: boolean;
}

interface Settlement {
  readonly attempt: Attempt;
  readonly ending: Ending;
}

export class OutlierDetection implements Policy<Attempt> {
  readonly name = 'outlier-detection';
  readonly #options: OutlierDetectionOptions;
  readonly #times: EjectionOptions;
  readonly #deps: PolicyDeps;
  /** By what the roster has: an endpoint that leaves takes its record along. Shared with the policy before a reload. */
  readonly #records: WeakMap<Ejectable, EndpointRecord>;

  constructor(options: OutlierDetectionOptions, deps: PolicyDeps, previous: Policy<Attempt> | undefined) {
    this.#options = options;
    this.#times = timesOf(options);
    this.#deps = deps;
    this.#records = previous instanceof OutlierDetection ? previous.#records : new WeakMap();
  }

  run(attempt: Attempt, next: Next<Attempt>, cancellation: Cancellation): Promise<Outcome> {
    const { ejections } = this.#deps;
    const endpoint = ejections.find(attempt.endpoint.name);
    // A lone endpoint is never ejected; it may have been before it was alone.
    if (!endpoint || (ejections.size < 2 && !endpoint.ejected)) return next(attempt, cancellation);
    return this.#watch(this.#recordOf(endpoint), attempt, () => next(attempt, cancellation));
  }

  snapshot(): Snapshot {
    const now = this.#deps.clock.now();
    const { endpoints } = this.#deps.ejections;
    const rows = endpoints.flatMap((one) => this.#records.get(one) ?? []).map((one) => rowOf(one, now));
    return { ejected: endpoints.filter(({ ejected }) => ejected).length, endpoints: rows };
  }

  capture(instants: Instants): PersistentState | undefined {
    const now = this.#deps.clock.now();
    const endpoints = this.#deps.ejections.endpoints.flatMap((one) => {
      const record = this.#records.get(one);
      return record && isWorthKeeping(record, now) ? [savedOf(record, now, instants)] : [];
    });
    return endpoints.length > 0 ? { endpoints } : undefined;
  }

  restore(saved: unknown, instants: Instants): boolean {
    const { data } = savedOutliersSchema.safeParse(saved);
    for (const one of data?.endpoints ?? []) this.#restoreOne(one, instants);
    return data !== undefined;
  }

  dispose(): void {
    // There are no timers; what is out stays out for the policy that follows, and ends where none does.
  }

  async #watch(record: EndpointRecord, attempt: Attempt, next: () => Promise<Outcome>): Promise<Outcome> {
    const visit = record.ejection.begin(this.#deps.clock.now());
    const outcome = await next();
    if (outcome.kind === 'response') this.#settleResponse(record, visit, { attempt, outcome });
    else if (outcome.kind === 'rejection') this.#settle(record, visit, { attempt, ending: 'nothing' });
    else {
      const ending = endingOf(outcome, attempt, record.history.succeededAt);
      this.#settle(record, visit, { attempt, ending });
    }
    return outcome;
  }

  /** A good head promises a good answer, but only its whole body is one. */
  #settleResponse(
    record: EndpointRecord,
    visit: Visit,
    { attempt, outcome }: { readonly attempt: Attempt; readonly outcome: ResponseOutcome },
  ): void {
    const verdict = attempt.judge(outcome);
    const settle = (ending: Ending): void => this.#settle(record, visit, { attempt, ending });
    if (verdict.result === 'neutral') return settle('answered');
    if (verdict.result === 'failure' || outcome.tunnel) return settle(verdict.result);
    visit.promising = true;
    outcome.body.onEnd((completion) => {
      const { result } = finalVerdict({ ...outcome, verdict }, completion);
      settle(result === 'neutral' ? 'nothing' : result);
    });
  }

  #settle(record: EndpointRecord, visit: Visit, { attempt, ending }: Settlement): void {
    const now = this.#deps.clock.now();
    // Gone meanwhile; one of the same name that came since is another one.
    if (this.#deps.ejections.find(record.endpoint.name) !== record.endpoint) return;
    const follows = record.ejection.settle(visit, ending === 'unreached' ? 'failure' : ending, now);
    if (follows === 'returns') this.#return(record, 'probe');
    else if (follows === 'counts') this.#count(record, ending);
    if (ending === 'failure' || ending === 'unreached') attempt.endpointsFault = this.#isAlone(record, now);
    if (follows === 'again') this.#eject(record, 'probe');
  }

  /** Whether it fails while others do not, or much less. */
  #isAlone({ endpoint, history }: EndpointRecord, now: number): boolean {
    const [own, siblings] = [history.tried(now), this.#siblingsOf(endpoint, now)];
    const share = endpoint.ejected ? 1 : own.failures / own.calls;
    return siblings.calls > 0 && siblings.failures / siblings.calls <= share / 2;
  }

  #count(record: EndpointRecord, ending: Ending): void {
    const { history } = record;
    const now = this.#deps.clock.now();
    if (ending === 'success') {
      history.succeeded(now);
      record.withheld = false;
    } else if (ending === 'answered') history.answered();
    else if (ending !== 'nothing') {
      history.failed(now, ending !== 'unreached');
      const siblings = this.#siblingsOf(record.endpoint, now);
      const reason = outlierReason(history, history.tried(now), siblings, this.#options);
      if (reason) this.#considerEjecting(record, reason);
    }
  }

  /** What calls to the others met that are not out. */
  #siblingsOf(endpoint: Ejectable, now: number): Tried {
    const sum = { calls: 0, failures: 0 };
    for (const one of this.#deps.ejections.endpoints) {
      if (one === endpoint || one.ejected) continue;
      const { calls = 0, failures = 0 } = this.#records.get(one)?.history.tried(now) ?? {};
      sum.calls += calls;
      sum.failures += failures;
    }
    return sum;
  }

  #considerEjecting(record: EndpointRecord, reason: OutlierReason): void {
    const { endpoint } = record;
    // Something else keeps it from getting calls already.
    if (endpoint.state !== 'available' && endpoint.state !== 'degraded') return;
    const why = this.#whyNot(endpoint);
    if (!why) return this.#eject(record, reason);
    if (record.withheld) return;
    record.withheld = true;
    const { emit, upstream } = this.#deps;
    emit('ejection-withheld', { upstream, endpoint: endpoint.name, reason, why });
  }

  #whyNot({ name }: Ejectable): 'cap' | 'last' | undefined {
    const { ejections } = this.#deps;
    if (!ejections.canSpare(name)) return 'last';
    const there = ejections.endpoints.filter(({ state }) => state !== 'draining' && state !== 'disabled');
    const ejected = there.filter((one) => one.ejected).length;
    return ejected < Math.ceil(there.length * this.#options.maxEjected) ? undefined : 'cap';
  }

  #eject(record: EndpointRecord, reason: EjectionReason): void {
    const { clock, random, emit, upstream } = this.#deps;
    const { ejection, endpoint, history } = record;
    const now = clock.now();
    ejection.eject(now, random.next());
    history.clear();
    record.reason = reason;
    record.withheld = false;
    this.#takeOut(record);
    emit('endpoint-ejected', {
      upstream,
      endpoint: endpoint.name,
      reason,
      count: ejection.count(now),
      forMs: ejection.remainingMs(now),
    });
  }

  #takeOut(record: EndpointRecord): void {
    const now = (): number => this.#deps.clock.now();
    const review = (): void => this.#reviewDrawnOut(record);
    record.endpoint.setEjected(true, {
      get calls() {
        review();
        return record.ejection.calls(now());
      },
      // That it can be reached is what a check proves. That calls to it succeed, only a call does.
      checked: (health) => {
        const reached = health === 'healthy' && record.reason === 'connect';
        if (reached && record.ejection.isDue(now())) this.#return(record, 'check');
      },
    });
  }

  #reviewDrawnOut(record: EndpointRecord): void {
    const now = this.#deps.clock.now();
    if (!record.ejection.isDrawnOutWell(now)) return;
    if (record.ejection.settleDrawnOut(now) === 'returns') this.#return(record, 'probe');
  }

  #return(record: EndpointRecord, by: 'probe' | 'check'): void {
    const { clock, emit, upstream } = this.#deps;
    const { ejection, endpoint } = record;
    ejection.return(clock.now());
    endpoint.setEjected(false);
    emit('endpoint-returned', { upstream, endpoint: endpoint.name, by, count: ejection.count(clock.now()) });
  }

  #recordOf(endpoint: Ejectable): EndpointRecord {
    const known = this.#records.get(endpoint);
    if (!known) {
      const history = new EndpointHistory(this.#options.window);
      const ejection = new Ejection(this.#times);
      const record = { endpoint, ejection, history, reason: undefined, withheld: false };
      this.#records.set(endpoint, record);
      return record;
    }
    known.ejection.options = this.#times;
    if (known.history.windowMs !== this.#options.window)
      known.history = new EndpointHistory(this.#options.window);
    return known;
  }

  #restoreOne(saved: SavedOutlier, instants: Instants): void {
    const endpoint = this.#deps.ejections.find(saved.name);
    if (!endpoint) return;
    const now = this.#deps.clock.now();
    const at = (instant: number | null): number => instants.fromSaved(instant, Number.NEGATIVE_INFINITY);
    const record = this.#recordOf(endpoint);
    record.history.take(talliesOf(saved.window, this.#options.window, instants), now);
    record.history.consecutive = saved.consecutiveFailures;
    record.reason = saved.reason ?? undefined;
    // Whatever the file says, and whatever may have been configured before.
    const latest = now + longestEjectionMs(this.#options.maxEjectFor);
    const until = Math.min(at(saved.until), latest);
    record.ejection.restore({ ...saved, until, backAt: Math.min(at(saved.backAt), now) });
    if (saved.out) this.#takeOut(record);
  }
}

const timesOf = (options: OutlierDetectionOptions): EjectionOptions => ({
  stepMs: options.ejectFor,
  maxMs: options.maxEjectFor,
  probes: options.probes,
  probeTimeoutMs: options.probeTimeout,
  forgetMs: options.window,
});

function isWorthKeeping({ ejection, history }: EndpointRecord, now: number): boolean {
  return ejection.out || ejection.count(now) > 0 || history.consecutive > 0 || history.tried(now).calls > 0;
}

function savedOf({ endpoint, ejection, history, reason }: EndpointRecord, now: number, instants: Instants) {
  const { until, backAt, ...memory } = ejection.memory;
  return {
    name: endpoint.name,
    reason: reason ?? null,
    ...memory,
    until: instants.toSaved(until),
    backAt: instants.toSaved(backAt),
    consecutiveFailures: history.consecutive,
    window: saveWindow(history.windowMs, history.tallies(now), instants),
  };
}

function rowOf({ endpoint, ejection, history, reason }: EndpointRecord, now: number) {
  return {
    endpoint: endpoint.name,
    // What is over without a call to try it is not out for good: the next one may.
    state: ejection.out ? (ejection.isDue(now) ? 'due' : 'ejected') : 'in',
    reason: ejection.out ? (reason ?? null) : null,
    count: ejection.count(now),
    forMs: Math.round(ejection.remainingMs(now)),
    consecutiveFailures: history.consecutive,
    ...history.tried(now),
  };
}

export const outlierDetection: PolicyModule<Attempt, typeof outlierDetectionSchema> = {
  name: 'outlier-detection',
  key: 'outlierDetection',
  schema: outlierDetectionSchema,
  onByDefault: true,
  // What an endpoint does is compared with what its siblings do.
  sharedByEndpoints: true,
  // An endpoint is out for all calls, or for none.
  forAllCalls: true,
  build: (options, deps, previous) => new OutlierDetection(options, deps, previous),
};
