/**
 * What lives from one configuration to the next. A part whose description did not change is the same object after a
 * reload: an open breaker stays open, a connection stays connected.
 */
export interface Part {
  readonly fingerprint: string;
  readonly value: unknown;
}

export class Inventory {
  readonly #previous: ReadonlyMap<string, Part>;
  readonly #parts = new Map<string, Part>();
  /** What was let go of must not come back from before. */
  readonly #released = new Set<string>();

  constructor(previous?: Inventory) {
    this.#previous = previous ? previous.#parts : new Map();
  }

  /**
   * Asked for the same part again, the same inventory gives the same object.
   *
   * @param name which part it is, such as `upstream/retry`
   * @param description everything that the part is built from, as plain data
   * @param build called with the part's predecessor when the description changed, or with nothing
   */
  keep<T>(name: string, description: unknown, build: (predecessor: T | undefined) => T): T {
    const fingerprint = JSON.stringify(description) ?? '';
    const own = this.#parts.get(name);
    if (own?.fingerprint === fingerprint) return own.value as T;
    const before = this.#released.has(name) ? undefined : this.#previous.get(name);
    const value =
      before?.fingerprint === fingerprint ? (before.value as T) : build(before?.value as T | undefined);
    this.#parts.set(name, { fingerprint, value });
    return value;
  }

  /**
   * Takes out the parts of these names, and those whose names begin with one that ends in `/`.
   */
  release(names: readonly string[]): unknown[] {
    const taken: unknown[] = [];
    for (const [name, { value }] of this.#parts) {
      if (!names.some((one) => name === one || (one.endsWith('/') && name.startsWith(one)))) continue;
      this.#parts.delete(name);
      // Names come and go for as long as the configuration is in force: of those, only what was there before matters.
      if (this.#previous.has(name)) this.#released.add(name);
      taken.push(value);
    }
    return taken;
  }

  /** All parts, by name. */
  get values(): ReadonlyMap<string, unknown> {
    return new Map([...this.#parts].map(([name, { value }]) => [name, value]));
  }

  /** Parts that the previous inventory did not have. */
  added(): unknown[] {
    const known = new Set([...this.#previous.values()].map(({ value }) => value));
    return [...this.#parts.values()].map(({ value }) => value).filter((value) => !known.has(value));
  }

  /** Parts of the previous inventory that this one does not have any more. */
  dropped(): unknown[] {
    const kept = new Set([...this.#parts.values()].map(({ value }) => value));
    return [...this.#previous.values()].map(({ value }) => value).filter((value) => !kept.has(value));
  }
}
