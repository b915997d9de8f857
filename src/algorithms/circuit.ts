/**
 * The states of a circuit and the moves between them, without I/O and without timers. It replaces cockatiel's state
 * machine, which reads the wall clock, queues callers behind a probe and lets results from before an opening decide
 * a probe's round (docs/adr/0003).
 *
 * @see Nygard, "Release It!", 2nd edition, 2018, §5 "Circuit Breaker"
 */
import { CircuitState } from 'cockatiel';
import type { IBackoff, IBackoffFactory, IBreaker } from 'cockatiel';
import type { Hint } from '../core/hint-store.ts';

/** closed: flowing · degraded: flowing, watched · open: refusing · half-open: probing · isolated: held open by an operator */
export type CircuitStateName = 'closed' | 'degraded' | 'open' | 'half-open' | 'isolated';

/** `auto`: by the rules · `open`: refuse whatever happens · `closed`: let pass whatever happens */
export type CircuitOverride = 'auto' | 'open' | 'closed';

/** Why it changed: by what its calls met, by what another sidecar or an earlier process knew, by an operator's word. */
export type CircuitCause = 'calls' | 'hint' | 'restart' | 'operator';

export interface CircuitOptions {
  /** Rules that open the circuit; any one of them suffices. */
  readonly rules: readonly IBreaker[];
  /** How long it stays open, from one opening in a row to the next. */
  readonly openFor: IBackoffFactory<undefined>;
  /** Trials in the half-open state; as many successes close the circuit. */
  readonly probes: number;
  /** A probe that has not ended by then no longer holds up the decision. */
  readonly probeTimeoutMs: number;
  readonly isDegraded: () => boolean;
  readonly now: () => number;
  readonly onChange: (from: CircuitStateName, to: CircuitStateName, cause: CircuitCause) => void;
}

/** Allows one call. Must be settled exactly once, in whatever way the call ends. */
export interface Permit {
  readonly epoch: number;
  readonly probe: boolean;
  readonly issuedAt: number;
  /** The call has brought a response head, whatever it said. */
  answered: boolean;
  /** The probe has brought a good response head; its body is still on its way. */
  promising: boolean;
  settled: boolean;
}

/** What of a circuit outlives its process. A probe does not: a circuit that was half-open is open, and may be probed. */
export interface CircuitMemory {
  readonly override: CircuitOverride;
  /** Openings in a row; 0: it was not open. */
  readonly openings: number;
  /** Monotonic instant; -Infinity where it was not open. */
  readonly openUntil: number;
}

export interface Refusal {
  /** Milliseconds after which it makes sense to ask again. */
  readonly retryAfterMs: number;
}

/** Waiting for somebody else's probe: nobody knows how long, so ask again soon. */
const PROBE_UNDER_WAY_MS = 1_000;

/** Openings that are counted; by then the longest time is reached, whatever the steps. */
const MAX_OPENINGS = 10_000;

export class Circuit {
  #options: CircuitOptions;
  #state: CircuitStateName = 'closed';
  #override: CircuitOverride = 'auto';
  /** Counts the changes; a permit of another epoch has nothing to say any more. */
  #epoch = 0;
  #openUntil = Number.NEGATIVE_INFINITY;
  #openings = 0;
  #backoff: IBackoff<undefined> | undefined;
  #probes = new Set<Permit>();
  #probeSuccesses = 0;
  /** Answers to probes that neither prove health nor disprove it, such as 404. */
  #inconclusive = 0;
  #halfOpenSince = Number.POSITIVE_INFINITY;
  /** It is open because of this hint, and not for anything that it met itself. */
  #followed: Hint | undefined;
  #heardId: string | undefined;
  /** When the newest call began that succeeded. */
  #provenAt = Number.NEGATIVE_INFINITY;

  constructor(options: CircuitOptions) {
    this.#options = options;
  }

  /** Takes over rules and times from a new configuration; what state it is in stays. */
  reconfigure(options: CircuitOptions): void {
    this.#options = options;
    this.#repeatSteps();
    // No further probe would go, and none would decide, where fewer are wanted than have succeeded already.
    if (this.#state === 'half-open' && this.#probeSuccesses >= options.probes) this.#reset();
  }

  /** Quiet time ages out here, too: what was degraded need not be any more, although no call has said so. */
  get state(): CircuitStateName {
    return this.#state === 'degraded' && !this.#options.isDegraded() ? 'closed' : this.#state;
  }

  get override(): CircuitOverride {
    return this.#override;
  }

  /** Openings in a row without a close between them. */
  get openings(): number {
    return this.#openings;
  }

  /** Milliseconds until a probe may go, 0 unless open. */
  get openForMs(): number {
    return this.#state === 'open' ? Math.max(0, this.#openUntil - this.#options.now()) : 0;
  }

  /** What a call is told that is not counted and no probe; undefined: it may go. */
  get barrier(): Refusal | undefined {
    if (this.#override === 'open') return { retryAfterMs: PROBE_UNDER_WAY_MS };
    return this.openForMs > 0 ? { retryAfterMs: this.openForMs } : undefined;
  }

  /** Undefined when it is as new. */
  get memory(): CircuitMemory | undefined {
    if (this.#override === 'auto' && this.#openings === 0) return undefined;
    return { override: this.#override, openings: this.#openings, openUntil: this.#openUntil };
  }

  /** Takes up what a circuit before this one remembers. Only for one that is as new. */
  restore({ override, openings, openUntil }: CircuitMemory): void {
    this.#override = override;
    if (override !== 'closed' && openings > 0) {
      this.#openings = Math.min(openings, MAX_OPENINGS);
      this.#openUntil = openUntil;
      this.#repeatSteps();
    }
    if (override === 'open') this.#move('isolated', 'restart');
    else if (this.#openings > 0) this.#move('open', 'restart');
    else this.#watch();
  }

  /**
   * Somebody else has found it failing: it refuses until then, and finds out by itself what comes next. Each hint is
   * heeded once, and only by a circuit that has nothing better: not where it is open by its own calls, held by an operator,
   * or where a call succeeded that began after the hint.
   */
  hear(hint: Hint): void {
    if (hint.id === this.#heardId) return;
    this.#heardId = hint.id;
    const flows = this.#state === 'closed' || this.#state === 'degraded';
    if (this.#override !== 'auto' || !(flows || this.#followed)) return;
    if (this.#provenAt > hint.toldAt || hint.until <= Math.max(this.#options.now(), this.#openUntil)) return;
    this.#openUntil = hint.until;
    this.#move('open', 'hint');
    this.#followed = hint;
  }

  admit(): Permit | Refusal {
    const now = this.#options.now();
    if (this.#override === 'open') return { retryAfterMs: PROBE_UNDER_WAY_MS };
    if (this.#state === 'open') {
      if (now < this.#openUntil) return { retryAfterMs: this.#openUntil - now };
      this.#move('half-open');
    }
    if (this.#state !== 'half-open') return this.#permit(now, false);
    this.#giveUpOldProbes(now);
    // Giving up may have decided the round.
    if (this.#stateNow() !== 'half-open') return this.admit();
    if (this.#isDrawnOut(now)) {
      this.#reset();
      return this.#permit(now, false);
    }
    if (this.#probes.size + this.#probeSuccesses >= this.#options.probes)
      return { retryAfterMs: PROBE_UNDER_WAY_MS };
    const permit = this.#permit(now, true);
    this.#probes.add(permit);
    return permit;
  }

  /** @param slow the call took too long, whatever it brought */
  settle(permit: Permit, result: 'success' | 'failure' | 'neutral', slow: boolean): void {
    if (permit.settled) return;
    permit.settled = true;
    this.#probes.delete(permit);
    if (result === 'success' && !slow) this.#prove(permit.issuedAt);
    if (permit.epoch !== this.#epoch) return;
    if (permit.probe) this.#settleProbe(result === 'success' && slow ? 'failure' : result, permit.answered);
    else this.#settleCall(result, slow);
  }

  /** An operator's word; `auto` gives the decision back to the rules, starting closed. */
  setOverride(override: CircuitOverride): void {
    if (override === this.#override) return;
    this.#override = override;
    if (override === 'open') this.#move('isolated', 'operator');
    else this.#reset('operator');
  }

  /** What is seen counts for more than what was heard. */
  #prove(issuedAt: number): void {
    this.#provenAt = Math.max(this.#provenAt, issuedAt);
    if (this.#followed && issuedAt > this.#followed.toldAt) this.#reset();
  }

  #settleCall(result: 'success' | 'failure' | 'neutral', slow: boolean): void {
    const { rules } = this.#options;
    let trip = false;
    if (result === 'success') for (const rule of rules) rule.success(CircuitState.Closed);
    else if (result === 'failure') for (const rule of rules) trip = rule.failure(CircuitState.Closed) || trip;
    // A call that was given up because it took too long was slow, whoever gave it up.
    if (slow) for (const rule of rules) trip = (isSlowAware(rule) && rule.slow(result === 'neutral')) || trip;
    if (this.#override === 'closed') return;
    if (trip) this.#open();
    else this.#watch();
  }

  /** Between closed and degraded nothing is refused and no epoch ends. */
  #watch(): void {
    const to = this.#options.isDegraded() ? 'degraded' : 'closed';
    if (to === this.#state || (this.#state !== 'closed' && this.#state !== 'degraded')) return;
    const from = this.#state;
    this.#state = to;
    this.#options.onChange(from, to, 'calls');
  }

  #settleProbe(result: 'success' | 'failure' | 'neutral', answered: boolean): void {
    if (result === 'neutral' && answered) this.#inconclusive += 1;
    if (result === 'failure') this.#open();
    else if (result === 'success') {
      this.#probeSuccesses += 1;
      if (this.#probeSuccesses >= this.#options.probes) this.#reset();
    }
  }

  /**
   * Somebody answers, nothing fails, and yet no answer proves health (every probe asks for what is not there): that must
   * not hold everyone else up for ever.
   */
  #isDrawnOut(now: number): boolean {
    return this.#inconclusive > 0 && now - this.#halfOpenSince >= this.#options.probeTimeoutMs;
  }

  /** A long answer that began well is a success; one that never began gives its place to another. */
  #giveUpOldProbes(now: number): void {
    for (const probe of [...this.#probes]) {
      if (now - probe.issuedAt < this.#options.probeTimeoutMs) continue;
      this.settle(probe, probe.promising ? 'success' : 'neutral', false);
    }
  }

  /** The next opening is as long as so many openings make it. */
  #repeatSteps(): void {
    this.#backoff = undefined;
    for (let n = 0; n < this.#openings; n++)
      this.#backoff = (this.#backoff ?? this.#options.openFor).next(undefined);
  }

  #open(): void {
    this.#backoff = (this.#backoff ?? this.#options.openFor).next(undefined);
    this.#openings = Math.min(MAX_OPENINGS, this.#openings + 1);
    this.#openUntil = Math.max(this.#openUntil, this.#options.now() + this.#backoff.duration);
    this.#move('open');
  }

  #reset(cause: CircuitCause = 'calls'): void {
    this.#backoff = undefined;
    this.#openings = 0;
    // Times only ever grow within one outage; this one is over.
    this.#openUntil = Number.NEGATIVE_INFINITY;
    for (const rule of this.#options.rules) rule.success(CircuitState.HalfOpen);
    this.#move('closed', cause);
  }

  #move(to: CircuitStateName, cause: CircuitCause = 'calls'): void {
    const from = this.#state;
    this.#state = to;
    this.#followed = undefined;
    this.#epoch += 1;
    this.#probes.clear();
    this.#probeSuccesses = 0;
    this.#inconclusive = 0;
    this.#halfOpenSince = this.#options.now();
    if (from !== to) this.#options.onChange(from, to, cause);
  }

  #stateNow(): CircuitStateName {
    return this.#state;
  }

  #permit(now: number, probe: boolean): Permit {
    return { epoch: this.#epoch, probe, issuedAt: now, answered: false, promising: false, settled: false };
  }
}

const isSlowAware = (rule: IBreaker): rule is IBreaker & { slow(onlySlow: boolean): boolean } =>
  'slow' in rule;
