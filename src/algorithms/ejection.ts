/**
 * How long an endpoint is out, and how it comes back: by single calls after its time, each ejection in a row being longer.
 * Without I/O and without timers; what is over is found to be so when somebody asks.
 */
import type { TrialCalls } from '../core/ejections.ts';

export interface EjectionOptions {
  /** The n-th ejection in a row lasts n times as long. */
  readonly stepMs: number;
  /** No ejection lasts longer, jitter aside. */
  readonly maxMs: number;
  /** Calls that must succeed one after the other. */
  readonly probes: number;
  /** A call that has not ended by then holds nobody up. */
  readonly probeTimeoutMs: number;
  /** So much time without an ejection takes one off the count. */
  readonly forgetMs: number;
}

/** Spread that keeps many sidecars from coming back at the same moment. */
const JITTER_RATIO = 0.1;

/** The longest ejection, jitter included. */
export const longestEjectionMs = (maxMs: number): number => maxMs * (1 + JITTER_RATIO);

/** Ejections that are counted; by then the longest time is reached, whatever the steps. */
const MAX_COUNT = 10_000;

/** What a call found out. `answered`: something that proves neither health nor failure. `nothing`: not even that. */
export type Finding = 'success' | 'failure' | 'answered' | 'nothing';

/** What follows. `counts`: it is to be counted. `returns`: it is back. `again`: it is to be ejected once more. */
export type Consequence = 'counts' | 'returns' | 'again' | 'none';

/** One call to the endpoint. To be settled once. */
export interface Visit {
  readonly epoch: number;
  /** It is to find out how the endpoint is. */
  readonly probe: boolean;
  readonly startedAt: number;
  /** A good response head is here; its body is still on its way. */
  promising: boolean;
  settled: boolean;
}

/** What of it outlives the process. */
export interface EjectionMemory {
  readonly out: boolean;
  readonly count: number;
  /** Monotonic instants. */
  readonly until: number;
  readonly backAt: number;
}

export class Ejection {
  options: EjectionOptions;
  #out = false;
  #until = Number.NEGATIVE_INFINITY;
  #count = 0;
  /** Since when it is back. */
  #backAt = Number.NEGATIVE_INFINITY;
  /** Counts the changes; a call that began before the last one has nothing to say. */
  #epoch = 0;
  #probe: Visit | undefined;
  #successes = 0;
  /** Since when probes are answered with what proves nothing. */
  #inconclusiveSince: number | undefined;

  constructor(options: EjectionOptions) {
    this.options = options;
  }

  get out(): boolean {
    return this.#out;
  }

  /** Milliseconds until it may be tried, 0 unless it is out. */
  remainingMs(now: number): number {
    return this.#out ? Math.max(0, this.#until - now) : 0;
  }

  isDue(now: number): boolean {
    return this.#out && now >= this.#until;
  }

  /** Ejections in a row, those aside that time has healed. */
  count(now: number): number {
    if (this.#out || this.#count === 0) return this.#count;
    return Math.max(0, this.#count - Math.floor((now - this.#backAt) / this.options.forgetMs));
  }

  /**
   * Takes it out, for longer each time in a row. An end that was set already only moves later.
   * @param chance uniform in [0, 1)
   */
  eject(now: number, chance: number): void {
    const { stepMs, maxMs } = this.options;
    this.#count = Math.min(MAX_COUNT, this.count(now) + 1);
    const ms = Math.min(maxMs, this.#count * stepMs) * (1 + chance * JITTER_RATIO);
    this.#until = Math.max(this.#until, now + ms);
    this.#change(true);
  }

  /** It is given calls again, like any other. */
  return(now: number): void {
    this.#backAt = now;
    this.#until = Number.NEGATIVE_INFINITY;
    this.#change(false);
  }

  /** Which calls may find out how it is. */
  calls(now: number): TrialCalls {
    if (!this.isDue(now)) return 'none';
    if (this.#probe && now - this.#probe.startedAt < this.options.probeTimeoutMs) return 'none';
    return now - this.#until >= this.options.stepMs ? 'any' : 'repeatable';
  }

  /**
   * A call begins: the first one after its time, whatever it came for, finds out how the endpoint is.
   */
  begin(now: number): Visit {
    const probe = this.calls(now) !== 'none';
    const visit = { epoch: this.#epoch, probe, startedAt: now, promising: false, settled: false };
    if (probe) this.#probe = visit;
    return visit;
  }

  /** A probe's answer began well and is so long that waiting for its end makes no sense. */
  isDrawnOutWell(now: number): boolean {
    const probe = this.#probe;
    return this.#out && probe?.promising === true && now - probe.startedAt >= this.options.probeTimeoutMs;
  }

  /** The end of that probe is not waited for. */
  settleDrawnOut(now: number): Consequence {
    return this.#probe ? this.settle(this.#probe, 'success', now) : 'none';
  }

  settle(visit: Visit, finding: Finding, now: number): Consequence {
    if (visit.settled) return 'none';
    visit.settled = true;
    if (this.#probe === visit) this.#probe = undefined;
    if (visit.epoch !== this.#epoch) return 'none';
    if (!this.#out) return 'counts';
    return visit.probe ? this.#settleProbe(finding, now) : 'none';
  }

  get memory(): EjectionMemory {
    return { out: this.#out, count: this.#count, until: this.#until, backAt: this.#backAt };
  }

  /** Takes up what another one remembers; a probe it does not. */
  restore({ out, count, until, backAt }: EjectionMemory): void {
    this.#count = Math.min(MAX_COUNT, count);
    this.#until = until;
    this.#backAt = backAt;
    this.#change(out);
  }

  #settleProbe(finding: Finding, now: number): Consequence {
    if (finding === 'failure') return 'again';
    if (finding === 'success') {
      this.#successes += 1;
      return this.#successes >= this.options.probes ? 'returns' : 'none';
    }
    if (finding === 'answered') {
      this.#inconclusiveSince ??= now;
      return now - this.#inconclusiveSince >= this.options.probeTimeoutMs ? 'returns' : 'none';
    }
    // Nobody knows why it was given up; were the next one sent at once, all calls could hang here one after the other.
    this.#until = Math.max(this.#until, now + this.options.stepMs);
    return 'none';
  }

  #change(out: boolean): void {
    this.#out = out;
    this.#epoch += 1;
    this.#probe = undefined;
    this.#successes = 0;
    this.#inconclusiveSince = undefined;
  }
}
