/** Buckets of this process alone. */
import { chargedAt, levelAt } from '../../algorithms/gcra.ts';
import type { Clock } from '../../core/clock.ts';
import type { Charge, Decision, Level, LimitStore } from '../../core/limit-store.ts';

/** Buckets kept; a few hundred bytes each. */
const MOST_BUCKETS = 10_000;

export class MemoryLimits implements LimitStore {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #mostBuckets: number;
  /** When each will be full. */
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
    for (const { key, size, cost } of charges)
      this.#put(key, chargedAt(this.#fullAt.get(key), size, cost, now), now);
  }

  /** A store that decides in this one's stead says how its buckets stand: from there this one goes on, should it have to. */
  follow(charges: readonly Charge[], levels: readonly Level[]): void {
    const now = this.#clock.now();
    charges.forEach(({ key, size }, index) => {
      const { remaining = size.burst } = levels[index] ?? {};
      this.#put(key, chargedAt(undefined, size, size.burst - remaining, now), now);
    });
  }

  /** Buckets that are kept now. */
  get size(): number {
    return this.#fullAt.size;
  }

  #put(key: string, fullAt: number, now: number): void {
    if (fullAt > now) this.#fullAt.set(key, fullAt);
    else this.#fullAt.delete(key);
    if (this.#fullAt.size > this.#mostBuckets) this.#makeRoom(now);
  }

  #levelOf({ key, size, cost }: Charge): Level {
    return levelAt(this.#fullAt.get(key), size, cost, this.#clock.now());
  }

  /**
   * Those go that are full first, for they say least: names that a client makes up, each used once, must not push out a
   * bucket that is used up. A tenth goes, so that this is rare.
   */
  #makeRoom(now: number): void {
    for (const [key, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(key);
    const excess = this.#fullAt.size - Math.floor(this.#mostBuckets * 0.9);
    if (excess <= 0) return;
    const soonest = [...this.#fullAt].sort(([, a], [, b]) => a - b);
    for (const [key] of soonest.slice(0, excess)) this.#fullAt.delete(key);
  }
}
