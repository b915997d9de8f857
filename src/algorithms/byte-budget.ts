/** Room for bytes that many share: reserved before something is kept, released when it is let go. */
export class ByteBudget {
  /** Lowering it lets go of nothing, but keeps nothing more either. */
  limitBytes: number;
  #usedBytes = 0;

  /** @param limitBytes bytes that all together may keep; 0 keeps nothing */
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** @returns false when there is no room; nothing is reserved then */
  reserve(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /** Gives back what was reserved. */
  release(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}
