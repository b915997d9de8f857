/**
 * What sidecars tell each other so that not each has to find out by itself: leave this alone for so long. A hint is
 * never more than that: who hears it still finds out when it is over, and what he sees himself counts for more.
 */

/** What another one said. */
export interface Hint {
  /** Tells it from every other. */
  readonly id: string;
  /** When it was said, rather later than earlier. Monotonic, of this process. */
  readonly toldAt: number;
  /** When it ends, rather earlier than later. Monotonic, of this process. */
  readonly until: number;
}

export interface HintStore {
  /**
   * What is known by now; undefined: nothing, or what was said is over. Never waits. Who asks for a key is told of it
   * from then on, also of what was said before, about half a second late at most.
   */
  heard(key: string): Hint | undefined;
  /**
   * Tells the others. Only for what this one has found out, and once: a hint that is passed on would never end.
   * What another one said that lasts longer stands. Never throws; reaches nobody where nothing is shared.
   *
   * @param forMs how long from now on
   */
  tell(key: string, forMs: number): void;
  /** What this one said is over, for whoever has not heard it yet. */
  takeBack(key: string): void;
}
