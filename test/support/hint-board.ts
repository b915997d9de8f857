/** What sidecars tell each other, on a board that the test reads and writes. */
import type { Hint, HintStore } from '../../src/core/hint-store.ts';
import type { Stores } from '../../src/core/stores.ts';
import { memoryStores } from '../../src/stores/memory/stores.ts';
import type { FakeClock } from './fake-clock.ts';

export class HintBoard implements HintStore {
  /** What this one said: the key, and for how long; 0: it took it back. */
  readonly said: (readonly [key: string, forMs: number])[] = [];
  readonly #others = new Map<string, Hint>();
  readonly #clock: FakeClock;
  #count = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  /** For `PolicyDeps.stores`: what is shared is on this board. */
  readonly stores = (shared: boolean): Stores => {
    const own = memoryStores(this.#clock);
    return shared ? { ...own, hints: this } : own;
  };

  /** Another one says it, and it is heard `lateMs` later: that is now. */
  other(key: string, forMs: number, lateMs = 0): void {
    const now = this.#clock.now();
    this.#others.set(key, {
      id: `other-${++this.#count}`,
      toldAt: now - lateMs,
      until: now + forMs - lateMs,
    });
  }

  heard(key: string): Hint | undefined {
    const hint = this.#others.get(key);
    return hint && hint.until > this.#clock.now() ? hint : undefined;
  }

  tell(key: string, forMs: number): void {
    this.said.push([key, forMs]);
  }

  takeBack(key: string): void {
    if (this.said.some(([said]) => said === key)) this.said.push([key, 0]);
  }
}
