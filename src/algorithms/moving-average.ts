/** What a value has usually been of late, without keeping its history. */
export class MovingAverage {
  readonly #weight: number;
  #count = 0;
  #value = 0;

  /** @param weight of the newest value, in (0, 1]; the first few are averaged evenly, so that none of them rules */
  constructor(weight: number) {
    this.#weight = weight;
  }

  /** Undefined before the first value. */
  get value(): number | undefined {
    return this.#count === 0 ? undefined : this.#value;
  }

  add(value: number): void {
    this.#count += 1;
    this.#value += (value - this.#value) * Math.max(this.#weight, 1 / this.#count);
  }
}
