/** What happened when: counts by slices of time, for tables and plots. */
export class Ledger<Name extends string> {
  readonly sliceMs: number;
  readonly #beganAt: number;
  readonly #slices = new Map<Name, number[]>();

  /** @param beganAt instant of the scenario's begin on its clock */
  constructor(sliceMs: number, beganAt: number) {
    this.sliceMs = sliceMs;
    this.#beganAt = beganAt;
  }

  note(name: Name, at: number): void {
    const slices = this.#slices.get(name) ?? [];
    const slice = Math.floor((at - this.#beganAt) / this.sliceMs);
    slices[slice] = (slices[slice] ?? 0) + 1;
    this.#slices.set(name, slices);
  }

  /** @param fromMs from the begin of the scenario, a multiple of the slice, as is `toMs` */
  total(name: Name, fromMs: number, toMs: number): number {
    let total = 0;
    for (let slice = fromMs / this.sliceMs; slice < toMs / this.sliceMs; slice++)
      total += this.#slices.get(name)?.[slice] ?? 0;
    return total;
  }

  /** Counts per second, one for each slice up to `toMs`. */
  perSecond(name: Name, toMs: number): number[] {
    const slices = this.#slices.get(name);
    return Array.from(
      { length: toMs / this.sliceMs },
      (_, slice) => ((slices?.[slice] ?? 0) * 1_000) / this.sliceMs,
    );
  }
}
