/** From single checks of an endpoint to what is thought of it: one swallow makes no summer, one failure no outage. */
import type { Health } from '../core/endpoint.ts';

export interface HealthRules {
  /** Successes in a row, ≥ 1, that make an unhealthy endpoint well again. */
  readonly rise: number;
  /** Failures in a row, ≥ 1, that make it unhealthy. */
  readonly fall: number;
}

export type CheckResult = 'ok' | 'degraded' | 'failed';

export class HealthJudge {
  readonly #rules: HealthRules;
  /** Until this monotonic instant, failures of an endpoint that has not been well yet are taken for its start. */
  readonly #graceEndsAt: number;
  #health: Health;
  #successes = 0;
  #failures = 0;

  /** @param health what is thought of it before the first check */
  constructor(rules: HealthRules, { health, graceEndsAt }: { health: Health; graceEndsAt: number }) {
    this.#rules = rules;
    this.#health = health;
    this.#graceEndsAt = graceEndsAt;
  }

  get health(): Health {
    return this.#health;
  }

  /** Successes in a row up to now. */
  get successes(): number {
    return this.#successes;
  }

  /** Failures in a row up to now. */
  get failures(): number {
    return this.#failures;
  }

  /** The next check may change what is thought, or nothing is known yet: it is worth looking sooner. */
  get inDoubt(): boolean {
    if (this.#health === 'starting' || this.#health === 'unknown') return true;
    return this.#health === 'unhealthy' ? this.#successes > 0 : this.#failures > 0;
  }

  /** What is thought after one more check. The first success of all is enough for one that has just come. */
  observe(result: CheckResult, now: number): Health {
    if (result === 'failed') this.#fail(now);
    else this.#succeed(result);
    return this.#health;
  }

  #fail(now: number): void {
    this.#successes = 0;
    this.#failures += 1;
    if (this.#failures < this.#rules.fall) return;
    if (this.#health === 'starting' && now < this.#graceEndsAt) return;
    this.#health = 'unhealthy';
  }

  #succeed(result: 'ok' | 'degraded'): void {
    this.#failures = 0;
    this.#successes += 1;
    if (this.#health === 'unhealthy' && this.#successes < this.#rules.rise) return;
    this.#health = result === 'degraded' ? 'degraded' : 'healthy';
  }
}
