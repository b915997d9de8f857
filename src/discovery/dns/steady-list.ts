/**
 * What the answers of the last while had in them. Servers with many addresses tell a few of them at a time, in turns, and a
 * server that has just started may know only some: what one answer lacks is not gone yet.
 */
export class SteadyList<T> {
  readonly #graceMs: number;
  readonly #keyOf: (one: T) => string;
  readonly #known = new Map<string, { readonly one: T; readonly missingSince: number | undefined }>();

  /** @param graceMs how long answers must lack something until it goes; 0: one is enough */
  constructor(graceMs: number, keyOf: (one: T) => string) {
    this.#graceMs = graceMs;
    this.#keyOf = keyOf;
  }

  /** All that is there, as the last answer that had it tells of it; ordered by key, whatever order it came in. */
  get all(): readonly T[] {
    const byKey = [...this.#known].sort(([a], [b]) => (a < b ? -1 : 1));
    return byKey.map(([, { one }]) => one);
  }

  /** From when on an answer without it makes something go; undefined: the last answer had all. */
  get nextRemovalAt(): number | undefined {
    const since = [...this.#known.values()].flatMap(({ missingSince }) => missingSince ?? []);
    return since.length > 0 ? Math.min(...since) + this.#graceMs : undefined;
  }

  /** @param limit how many there may be; of those that are missing the longest go first */
  answered(found: readonly T[], now: number, limit: number): void {
    const before = new Map(this.#known);
    this.#known.clear();
    for (const one of found.slice(0, limit)) {
      const key = this.#keyOf(one);
      this.#known.set(key, { one, missingSince: undefined });
      before.delete(key);
    }
    const missing = [...before].map(([key, { one, missingSince = now }]) => ({ key, one, missingSince }));
    missing.sort((a, b) => b.missingSince - a.missingSince);
    for (const { key, one, missingSince } of missing) {
      if (this.#known.size >= limit || now - missingSince >= this.#graceMs) continue;
      this.#known.set(key, { one, missingSince });
    }
  }

  clear(): void {
    this.#known.clear();
  }
}
