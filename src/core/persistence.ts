/** What outlives the process: what a part hands out to be kept, and how the instants in it are told. */

/** Plain JSON. Never holds secrets: it is written to a file. */
export type PersistentState =
  string | number | boolean | null | readonly PersistentState[] | { readonly [key: string]: PersistentState };

/** A part that wants to outlive the process; policies are such parts where they have both methods. */
export interface Persistent {
  /**
   * What is worth keeping; undefined: nothing, as when it is as new. Asked every few seconds, so it must be cheap. While
   * nothing happens it must say the same, so instants are told as such and never as the time that is left.
   */
  capture(instants: Instants): PersistentState | undefined;
  /**
   * Takes up what a part of the same name captured in a process before this one, perhaps with other options. Called once,
   * before the first exchange. Never throws, whatever it is given.
   * @returns false where that is no state of such a part; then nothing of it was taken
   */
  restore(saved: unknown, instants: Instants): boolean;
}

export function isPersistent(part: unknown): part is Persistent {
  const { capture, restore } = (part ?? {}) as Partial<Persistent>;
  return typeof capture === 'function' && typeof restore === 'function';
}

/** What a clock shows at one moment. */
export interface Reading {
  /** Monotonic milliseconds. */
  readonly now: number;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
}

/** A moment of the process that saved. */
export interface SavedMoment {
  /** By its instants as saved. */
  readonly instant: number;
  /** By its wall clock, in milliseconds since 1970. */
  readonly wallMs: number;
}

/** Between this process's monotonic clock and instants that another process can read: whole milliseconds since 1970. */
export class Instants {
  readonly #offsetMs: number;

  private constructor(offsetMs: number) {
    this.#offsetMs = offsetMs;
  }

  /**
   * For all that a process saves, made once: its instants must not move when the wall clock is put right, or all that is
   * saved would change.
   */
  static of({ now, wallMs }: Reading): Instants {
    return new Instants(wallMs - now);
  }

  /**
   * For what another process saved. The time between counts as it passed on the wall clock; where that was put back, as
   * none at all. So nothing lies further ahead now than it did at the saving.
   */
  static since(saved: SavedMoment, { now, wallMs }: Reading): Instants {
    return new Instants(saved.instant + Math.max(0, wallMs - saved.wallMs) - now);
  }

  /** @returns null for what never comes or has never been */
  toSaved(at: number): number | null {
    return Number.isFinite(at) ? Math.round(at + this.#offsetMs) : null;
  }

  /** @param never what null stands for, such as Infinity */
  fromSaved(saved: number | null, never: number): number {
    return saved === null ? never : saved - this.#offsetMs;
  }
}
