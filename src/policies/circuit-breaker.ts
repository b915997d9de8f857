/**
 * Refuses at once while the upstream is known to be failing, and finds out by single probes when it is back. It stands
 * inside retry, so that every try counts and a refusal ends retrying, and before endpoint selection, so that refusing
 * costs nothing.
 */
import { createHash } from 'node:crypto';
import { ConsecutiveBreaker } from 'cockatiel';
import type { IBreaker } from 'cockatiel';
import { z } from 'zod';
import { Circuit } from '../algorithms/circuit.ts';
import type {
  CircuitCause,
  CircuitMemory,
  CircuitOptions,
  CircuitOverride,
  CircuitStateName,
  Permit,
} from '../algorithms/circuit.ts';
import { longestOpenMs, openTimes } from '../algorithms/open-times.ts';
import { RatioRule } from '../algorithms/trip-rules.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Exchange } from '../core/exchange.ts';
import type { HintStore } from '../core/hint-store.ts';
import type { Outcome, RejectionOutcome, ResponseOutcome } from '../core/outcome.ts';
import { finalVerdict } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import type { Instants, PersistentState } from '../core/persistence.ts';
import { verdictOf } from '../core/verdict.ts';
import type { Verdict } from '../core/verdict.ts';
import { saveWindow, savedInstant, savedWindow, talliesOf } from '../schema/saved.ts';
import { count, positiveCount, positiveDuration, ratio } from '../schema/scalars.ts';

declare module '../core/events.ts' {
  interface EventMap {
    'breaker-changed': {
      readonly upstream: string;
      readonly from: CircuitStateName;
      readonly to: CircuitStateName;
      /** Milliseconds it stays open; 0 unless it opened. */
      readonly openForMs: number;
      readonly cause: CircuitCause;
    };
    'breaker-refused': { readonly exchange: Exchange; readonly upstream: string };
  }
}

const threshold = (text: string) =>
  z.union([z.literal(false), ratio.gt(0)]).describe(`${text} \`false\`: not a reason to open.`);

export const circuitBreakerSchema = z
  .strictObject({
    consecutiveFailures: z
      .union([z.literal(false), positiveCount])
      .default(5)
      .describe('Failures in a row that open the circuit. `false`: not a reason to open.'),
    failureRatio: threshold('Share of failures over the window that opens the circuit.').default(0.5),
    slowCallRatio: threshold('Share of slow calls over the window that opens the circuit.').default(false),
    slowCall: positiveDuration
      .prefault('10s')
      .describe('A call is slow when its response head takes longer.'),
    minimumCalls: positiveCount.default(5).describe('Calls in the window below which no share counts.'),
    window: positiveDuration
      .prefault('60s')
      .describe('Length of the window, in true time: quiet minutes age out.'),
    degradedShare: ratio
      .gt(0)
      .default(0.5)
      .describe('Share of a threshold at which the state is `degraded`: still flowing, but visible.'),
    openFor: positiveDuration
      .prefault('15s')
      .describe(
        'Time open after the first opening; it grows by as much with each further one in a row. Jitter adds up to a tenth.',
      ),
    maxOpenFor: positiveDuration.prefault('5m').describe('No opening lasts longer, jitter aside.'),
    probes: positiveCount
      .default(1)
      .describe('Calls let through when the time is over; as many successes close the circuit.'),
    probeTimeout: positiveDuration
      .prefault('10s')
      .describe(
        'After this long a probe that is still receiving counts as a success, and one without a response frees its place.',
      ),
    shared: z
      .boolean()
      .default(true)
      .describe(
        'Tell other sidecars when it opens and for how long, and heed what they tell: through state.redis, where that is set.',
      ),
  })
  .describe('Refuses calls at once while the upstream is failing.');

const savedSchema = z.object({
  override: z.enum(['auto', 'open', 'closed']),
  openings: count,
  openUntil: savedInstant,
  consecutiveFailures: count,
  window: savedWindow,
});

export type CircuitBreakerOptions = z.output<typeof circuitBreakerSchema>;

export class CircuitBreaker implements Policy<Exchange> {
  readonly name = 'circuit-breaker';
  readonly #options: CircuitBreakerOptions;
  readonly #deps: PolicyDeps;
  readonly #ratios: RatioRule;
  readonly #consecutive: ConsecutiveBreaker | undefined;
  readonly #circuit: Circuit;
  readonly #hints: HintStore;
  readonly #hintKey: string;
  /** Whose rules the circuit still follows: until the first exchange, the new configuration may yet be refused. */
  #predecessor: CircuitBreaker | undefined;

  constructor(options: CircuitBreakerOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    this.#options = options;
    this.#deps = deps;
    this.#hints = deps.stores(options.shared).hints;
    this.#hintKey = hintKeyOf(deps);
    const before = previous instanceof CircuitBreaker ? (previous.#predecessor ?? previous) : undefined;
    this.#ratios = ratioRuleOf(options, () => deps.clock.now(), before ? before.#ratios : undefined);
    const { consecutiveFailures } = options;
    if (consecutiveFailures !== false) this.#consecutive = new ConsecutiveBreaker(consecutiveFailures);
    this.#circuit = before ? before.#circuit : new Circuit(this.#circuitOptions());
    this.#predecessor = before;
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    if (this.#predecessor) this.#takeOverFrom(this.#predecessor);
    this.#listen();
    // A spare is for an upstream that is well, and never a probe's twin.
    if (exchange.nextAttempt.spare && this.state !== 'closed') return this.#refusal(this.#circuit.openForMs);
    if (exchange.pinnedTo !== undefined) return this.#runPinned(exchange, next, cancellation);
    const permit = this.#circuit.admit();
    if ('retryAfterMs' in permit) return this.#refuse(exchange, permit.retryAfterMs);
    const outcome = await next(exchange, cancellation);
    const { slowCallRatio, slowCall } = this.#options;
    const slow = slowCallRatio !== false && this.#deps.clock.now() - permit.issuedAt >= slowCall;
    if (outcome.kind === 'response') this.#settleResponse(permit, { exchange, outcome }, slow);
    else this.#circuit.settle(permit, resultOf(exchange, outcome, outcome.verdict), slow);
    return outcome;
  }

  /** An operator's decision; see {@link CircuitOverride}. */
  setOverride(override: CircuitOverride): void {
    this.#circuit.setOverride(override);
  }

  get state(): CircuitStateName {
    return this.#circuit.state;
  }

  snapshot(): Snapshot {
    const { state, override, openings, openForMs } = this.#circuit;
    return { state, override, openings, openForMs: Math.round(openForMs), ...this.#ratios.counts() };
  }

  capture(instants: Instants): PersistentState | undefined {
    const memory = this.#circuit.memory;
    const tallies = this.#ratios.tallies();
    const consecutiveFailures = Number((this.#predecessor ?? this).#consecutive?.state ?? 0);
    if (!memory && tallies.length === 0 && consecutiveFailures === 0) return undefined;
    const { override, openings, openUntil } = memory ?? AS_NEW;
    return {
      override,
      openings,
      openUntil: instants.toSaved(openUntil),
      consecutiveFailures,
      window: saveWindow(this.#options.window, tallies, instants),
    };
  }

  restore(saved: unknown, instants: Instants): boolean {
    const { data } = savedSchema.safeParse(saved);
    if (!data) return false;
    const { window, maxOpenFor } = this.#options;
    this.#ratios.take(talliesOf(data.window, window, instants));
    if (this.#consecutive) this.#consecutive.state = data.consecutiveFailures;
    const openUntil = instants.fromSaved(data.openUntil, Number.NEGATIVE_INFINITY);
    // Whatever the file says, and whatever may have been configured before.
    const latest = this.#deps.clock.now() + longestOpenMs(maxOpenFor);
    this.#circuit.restore({ ...data, openUntil: Math.min(openUntil, latest) });
    return true;
  }

  dispose(): void {
    // The circuit holds no timers.
  }

  /**
   * One endpoint, chosen by a client, says nothing of the others: whoever asks one that is dead again and again must not
   * cut everybody off. It is refused like all others, and is no probe.
   */
  async #runPinned(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    const { barrier } = this.#circuit;
    return barrier ? this.#refuse(exchange, barrier.retryAfterMs) : next(exchange, cancellation);
  }

  #takeOverFrom(before: CircuitBreaker): void {
    this.#predecessor = undefined;
    if (this.#consecutive && before.#consecutive) this.#consecutive.state = before.#consecutive.state;
    this.#circuit.reconfigure(this.#circuitOptions());
  }

  #listen(): void {
    const hint = this.#hints.heard(this.#hintKey);
    if (!hint) return;
    const { clock, random } = this.#deps;
    const now = clock.now();
    const latest = Math.min(hint.until, now + longestOpenMs(this.#options.maxOpenFor));
    // Those who heard it at the same time do not all probe at the same time.
    this.#circuit.hear({ ...hint, until: latest - random.next() * EARLY_RATIO * (latest - now) });
  }

  /** Only what its own calls have met: what was heard, or known from before, others have said. */
  #tell(to: CircuitStateName, cause: CircuitCause): void {
    if (to === 'open' && cause === 'calls') this.#hints.tell(this.#hintKey, this.#circuit.openForMs);
    else if (to === 'closed') this.#hints.takeBack(this.#hintKey);
  }

  /** A good head promises a good answer, but only its whole body is one. */
  #settleResponse(
    permit: Permit,
    { exchange, outcome }: { readonly exchange: Exchange; readonly outcome: ResponseOutcome },
    slow: boolean,
  ): void {
    permit.answered = true;
    if (outcome.verdict.result !== 'success' || outcome.tunnel) {
      this.#circuit.settle(permit, resultOf(exchange, outcome, outcome.verdict), slow);
      return;
    }
    permit.promising = true;
    outcome.body.onEnd((completion) => {
      this.#circuit.settle(permit, resultOf(exchange, outcome, finalVerdict(outcome, completion)), slow);
    });
  }

  #refuse(exchange: Exchange, retryAfterMs: number): RejectionOutcome {
    this.#deps.emit('breaker-refused', { exchange, upstream: this.#deps.upstream });
    return this.#refusal(retryAfterMs);
  }

  #refusal(retryAfterMs: number): RejectionOutcome {
    return {
      kind: 'rejection',
      reason: 'circuit_open',
      by: this.name,
      verdict: verdictOf('refused'),
      retryAfterMs,
    };
  }

  #circuitOptions(): CircuitOptions {
    const { openFor, maxOpenFor, probes, probeTimeout } = this.#options;
    const { clock, random, emit, upstream } = this.#deps;
    const rules: readonly IBreaker[] = this.#consecutive ? [this.#ratios, this.#consecutive] : [this.#ratios];
    return {
      rules,
      openFor: openTimes({ stepMs: openFor, maxMs: maxOpenFor }, random),
      probes,
      probeTimeoutMs: probeTimeout,
      isDegraded: () => this.#ratios.degraded,
      now: () => clock.now(),
      onChange: (from, to, cause) => {
        this.#tell(to, cause);
        emit('breaker-changed', { upstream, from, to, openForMs: this.#circuit.openForMs, cause });
      },
    };
  }
}

/** Share of a hint's time by which it may end early. */
const EARLY_RATIO = 0.1;

/** The same name and the same addresses: another sidecar may call something else by that name. */
function hintKeyOf({ owner, endpoints }: PolicyDeps): string {
  const addresses = createHash('sha256').update(JSON.stringify([...endpoints].sort()));
  return `breaker:${owner}:${addresses.digest('hex').slice(0, 16)}`;
}

const AS_NEW: CircuitMemory = { override: 'auto', openings: 0, openUntil: Number.NEGATIVE_INFINITY };

/** An idle connection that closed as we reached for it says nothing about the upstream's health. */
const isStale = (outcome: Outcome): boolean => outcome.kind === 'failure' && outcome.staleConnection;

/** What it means for the upstream as a whole: one bad endpoint among good ones is not its failure. */
function resultOf(exchange: Exchange, outcome: Outcome, { result }: Verdict): Verdict['result'] {
  if (isStale(outcome)) return 'neutral';
  if (result !== 'failure' || outcome.kind === 'rejection' || outcome.attempt === undefined) return result;
  return exchange.attempts[outcome.attempt - 1]?.endpointsFault === true ? 'neutral' : result;
}

function ratioRuleOf(options: CircuitBreakerOptions, now: () => number, before?: RatioRule): RatioRule {
  const { failureRatio, slowCallRatio, minimumCalls, window, degradedShare } = options;
  const rule = { failureRatio, slowCallRatio, minimumCalls, windowMs: window, degradedShare };
  return new RatioRule(rule, now, before);
}

export const circuitBreaker: PolicyModule<Exchange, typeof circuitBreakerSchema> = {
  name: 'circuit-breaker',
  key: 'circuitBreaker',
  schema: circuitBreakerSchema,
  onByDefault: true,
  knowsEndpoints: true,
  build: (options, deps, previous) => new CircuitBreaker(options, deps, previous),
};
