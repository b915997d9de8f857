/**
 * What happens to one endpoint: who says it may not be used, what it has to do, how quick it is. It lives through reloads
 * and is the same object for all variants of an upstream's policies.
 */
import { PeakEwma } from '../algorithms/peak-ewma.ts';
import type { EndpointState, Health, Operation, ReportedStatus } from '../core/endpoint.ts';

export interface MemberDeps {
  /** Told of every change of the state that others see. */
  readonly onChange: (member: Member, from: EndpointState, to: EndpointState) => void;
  readonly now: () => number;
}

/** How long an endpoint is remembered to have been slow. */
const LATENCY_DECAY_MS = 10_000;
/** What a failure counts for at least: one that fails in no time must not look quick. */
const FAILURE_MS = 1_000;

export class Member {
  readonly name: string;
  /** Calls under way, bodies included. */
  active = 0;
  /** Calls that were begun. */
  total = 0;
  /** Monotonic instant since which it has been available without a break. */
  availableSince: number;
  readonly #deps: MemberDeps;
  readonly #latency: PeakEwma;
  #operation: Operation = 'enabled';
  #health: Health = 'unknown';
  #ejected = false;
  #reported: ReportedStatus = 'up';

  constructor(name: string, deps: MemberDeps) {
    this.name = name;
    this.#deps = deps;
    this.availableSince = deps.now();
    this.#latency = new PeakEwma(LATENCY_DECAY_MS, this.availableSince);
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

  operate(operation: Operation): void {
    this.#change(() => (this.#operation = operation));
  }

  setHealth(health: Health): void {
    this.#change(() => (this.#health = health));
  }

  /** What the place says of it that the list comes from. */
  report(status: ReportedStatus): void {
    this.#change(() => (this.#reported = status));
  }

  setEjected(ejected: boolean): void {
    this.#change(() => (this.#ejected = ejected));
  }

  /** Expected milliseconds to an answer; see {@link PeakEwma}. */
  latencyMs(now: number): number {
    return this.#latency.valueAt(now);
  }

  begin(): void {
    this.active += 1;
    this.total += 1;
  }

  /** How an attempt ended, up to its response head. */
  observe(durationMs: number, failed: boolean, now: number): void {
    const known = this.#latency.valueAt(now);
    this.#latency.observe(failed ? Math.max(durationMs, 2 * known, FAILURE_MS) : durationMs, now);
  }

  end(): void {
    this.active -= 1;
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
