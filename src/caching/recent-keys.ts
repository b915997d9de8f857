/** Numbers by key, for the newest keys only: what is remembered of requests must not grow with them. */
export class RecentKeys {
  readonly #max: number;
  readonly #values = new Map<string, number>();
  #lastEvicted = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get(key: string): number | undefined {
    return this.#values.get(key);
  }

  /** The value of the key that was forgotten last; 0 before that. */
  get lastEvicted(): number {
    return this.#lastEvicted;
  }

  set(key: string, value: number): void {
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size <= this.#max) return;
    const [oldest, itsValue] = this.#values.entries().next().value as [string, number];
    this.#values.delete(oldest);
    this.#lastEvicted = itsValue;
  }
}

/** Enough for what can be under way at a time. */
const REMEMBERED = 1_000;

/** What was let go while answers were on their way: these are outdated before they are stored. */
export class Voids {
  readonly #groups = new RecentKeys(REMEMBERED);
  #count = 0;
  #allAt = 0;

  /** A point in the sequence, to ask about later. */
  get now(): number {
    return this.#count;
  }

  void(group: string): void {
    this.#groups.set(group, ++this.#count);
  }

  voidAll(): void {
    this.#allAt = ++this.#count;
  }

  /** Whether it was let go since then, as far as is remembered; else it may have been. */
  wasVoided(group: string, since: number): boolean {
    return Math.max(this.#groups.get(group) ?? 0, this.#allAt, this.#groups.lastEvicted) > since;
  }
}
