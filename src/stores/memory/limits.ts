/** Buckets of this process alone. */
import { chargedAt, levelAt } from '../../algorithms/gcra.ts';
import type { Clock } from '../../core/clock.ts';
import type { Charge, Decision, Level, LimitStore } from '../../core/limit-store.ts';

/** Buckets kept; a few hundred bytes each. */
const MOST_BUCKETS = 10_000;

export class MemoryLimits implements LimitStore {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #mostBuckets: number;
  /** When each will be full, least recently charged first. */
  readonly #fullAt = new Map<string, number>();

  constructor(clock: Pick<Clock, 'now'>, mostBuckets = MOST_BUCKETS) {
    this.#clock = clock;
    this.#mostBuckets = mostBuckets;
  }

  take(charges: readonly Charge[]): Decision {
    const levels = charges.map((charge) => this.#levelOf(charge));
    const admitted = levels.every(({ waitMs }) => waitMs === 0);
    if (!admitted) return { admitted, levels, by: 'local' };
    this.adjust(charges);
    return {
      admitted,
      levels: charges.map((charge) => ({ ...this.#levelOf(charge), waitMs: 0 })),
      by: 'local',
    };
  }

  adjust(charges: readonly Charge[]): void {
    const now = this.#clock.now();
    for (const { key, size, cost } of charges) {
      const fullAt = chargedAt(this.#fullAt.get(key), size, cost, now);
      this.#fullAt.delete(key);
      if (fullAt > now) this.#fullAt.set(key, fullAt);
    }
    if (this.#fullAt.size > this.#mostBuckets) this.#makeRoom(now);
  }

  /** Buckets that are kept now. */
  get size(): number {
    return this.#fullAt.size;
  }

  #levelOf({ key, size, cost }: Charge): Level {
    return levelAt(this.#fullAt.get(key), size, cost, this.#clock.now());
  }

  /** Full ones say nothing and go first, then those that were charged longest ago. A tenth goes, so that this is rare. */
  #makeRoom(now: number): void {
    for (const [key, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(key);
    for (const key of this.#fullAt.keys()) {
      if (this.#fullAt.size <= this.#mostBuckets * 0.9) return;
      this.#fullAt.delete(key);
    }
  }
}
