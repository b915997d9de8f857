/**
 * What happens to one endpoint: who says it may not be used, what it has to do, how quick it is. It lives through reloads
 * and is the same object for all variants of an upstream's policies.
 */
import { CallRatesWindow } from '../algorithms/call-rates.ts';
import type { CallRates } from '../algorithms/call-rates.ts';
import { FadingCount } from '../algorithms/fading-count.ts';
import { PeakEwma } from '../algorithms/peak-ewma.ts';
import type { Ejectable, Trial } from '../core/ejections.ts';
import type { CheckReport, EndpointState, Health, Operation, ReportedStatus } from '../core/endpoint.ts';

export interface MemberDeps {
  /** Tells it from others that had its name before. Default: 0. */
  readonly serial?: number;
  /** Told of every change of the state that others see. */
  readonly onChange: (member: Member, from: EndpointState, to: EndpointState) => void;
  readonly now: () => number;
  /** Before anybody has looked. Default: unknown. */
  readonly health?: Health;
  /** What an operator decided when it was listed before. Default: enabled. */
  readonly operation?: Operation;
}

/** How long an endpoint is remembered to have been slow. */
const LATENCY_DECAY_MS = 10_000;
/** What a failure counts for at least: one that fails in no time must not look quick. */
const FAILURE_MS = 1_000;
/** What failures count for at most: one that has failed for an hour is forgiven as soon as one that has for a minute. */
const MAX_FAILURE_MS = 30_000;
/** How long a failure counts as something that an endpoint still has to do, and how much all of them do at most. */
const STRAIN_DECAY_MS = 10_000;
const MAX_STRAIN = 1_000;
/** Over how long rates are told. */
const RATES_MS = 60_000;

export class Member implements Ejectable {
  readonly name: string;
  readonly serial: number;
  /** Calls under way, bodies included. */
  active = 0;
  /** Calls that were begun. */
  total = 0;
  /** Monotonic instant since which it has been available without a break. */
  availableSince: number;
  /** Undefined where there are no active checks, or not yet. */
  check: CheckReport | undefined;
  readonly #deps: MemberDeps;
  readonly #latency: PeakEwma;
  readonly #failures: FadingCount;
  readonly #rates: CallRatesWindow;
  #operation: Operation;
  #health: Health;
  #ejected = false;
  #trial: Trial | undefined;
  #reported: ReportedStatus = 'up';

  constructor(name: string, deps: MemberDeps) {
    this.name = name;
    this.serial = deps.serial ?? 0;
    this.#deps = deps;
    this.#health = deps.health ?? 'unknown';
    this.#operation = deps.operation ?? 'enabled';
    this.availableSince = deps.now();
    this.#latency = new PeakEwma(LATENCY_DECAY_MS, this.availableSince);
    this.#failures = new FadingCount(STRAIN_DECAY_MS, MAX_STRAIN, this.availableSince);
    this.#rates = new CallRatesWindow(RATES_MS, this.availableSince);
  }

  get state(): EndpointState {
    if (this.#operation !== 'enabled') return this.#operation;
    if (this.#reported === 'draining') return 'draining';
    if (this.#health === 'unhealthy' || this.#reported === 'down') return 'unhealthy';
    if (this.#health === 'starting' || this.#reported === 'starting') return 'starting';
    if (this.#ejected) return 'ejected';
    return this.#health === 'degraded' || this.#reported === 'degraded' ? 'degraded' : 'available';
  }

  /** Nobody has decided that it is given no new calls: neither an operator nor the endpoint itself. */
  get accepting(): boolean {
    return this.#operation === 'enabled' && this.#reported !== 'draining';
  }

  get operation(): Operation {
    return this.#operation;
  }

  get health(): Health {
    return this.#health;
  }

  get ejected(): boolean {
    return this.#ejected;
  }

  /** Its way back; undefined unless it is ejected. */
  get trial(): Trial | undefined {
    return this.#trial;
  }

  operate(operation: Operation): void {
    this.#change(() => (this.#operation = operation));
  }

  setHealth(health: Health): void {
    this.#change(() => (this.#health = health));
    this.#trial?.checked(health);
  }

  /** What the place says of it that the list comes from. */
  report(status: ReportedStatus): void {
    this.#change(() => (this.#reported = status));
  }

  setEjected(ejected: boolean, trial?: Trial): void {
    this.#trial = ejected ? trial : undefined;
    this.#change(() => (this.#ejected = ejected));
  }

  /** Expected milliseconds to an answer; see {@link PeakEwma}. */
  latencyMs(now: number): number {
    return this.#latency.valueAt(now);
  }

  /** Calls under way, and failures of late: one that fails at once has nothing to do, and must not look idle. */
  strain(now: number): number {
    return this.active + this.#failures.valueAt(now);
  }

  /** Over the last minute. */
  rates(): CallRates {
    return this.#rates.rates(this.#deps.now());
  }

  begin(now: number): void {
    this.active += 1;
    this.total += 1;
    this.#rates.begun(now);
  }

  /** How an attempt ended, up to its response head. */
  observe(durationMs: number, failed: boolean, now: number): void {
    if (failed) this.#failures.add(now);
    this.#rates.ended(durationMs, failed, now);
    this.#latency.observe(failed ? this.#penaltyMs(durationMs, now) : durationMs, now);
  }

  end(): void {
    this.active -= 1;
  }

  #penaltyMs(durationMs: number, now: number): number {
    const twiceAsSlow = Math.min(2 * this.#latency.valueAt(now), MAX_FAILURE_MS);
    return Math.max(durationMs, twiceAsSlow, FAILURE_MS);
  }

  #change(apply: () => void): void {
    const from = this.state;
    apply();
    const to = this.state;
    if (from === to) return;
    if (to === 'available') this.availableSince = this.#deps.now();
    this.#deps.onChange(this, from, to);
  }
}
