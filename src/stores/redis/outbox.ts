/** What Redis must be told but could not be: told again until it has heard it, in bounds. */
import type { Clock, TimerHandle } from '../../core/clock.ts';
import type { RedisConnection } from './connection.ts';

/** More messages than this do not wait; the oldest are given up first. */
const MAX_WAITING = 10_000;
/** Redis may be back for a moment only. */
const EVERY_MS = 100;
/** Later than this nobody waits for it any more. */
const GIVE_UP_MS = 10 * 60_000;
/** Sent at a time, so that a Redis that has just come back is not buried. */
const AT_ONCE = 32;

/** Sends it once more; undefined when Redis did not take it. Must not hold on to much: it may wait for long. */
export type Message = () => Promise<unknown>;

interface Waiting {
  readonly message: Message;
  readonly until: number;
}

export class Outbox {
  readonly #connection: Pick<RedisConnection, 'up'>;
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #waiting = new Set<Waiting>();
  #timer: TimerHandle | undefined;

  constructor(connection: Pick<RedisConnection, 'up'>, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Keeps a message that did not get through.
   * @returns takes it back: it is not sent any more
   */
  add(message: Message): () => void {
    const [oldest] = this.#waiting;
    if (oldest && this.#waiting.size >= MAX_WAITING) this.#waiting.delete(oldest);
    const waiting = { message, until: this.#clock.now() + GIVE_UP_MS };
    this.#waiting.add(waiting);
    this.#arm();
    return () => void this.#waiting.delete(waiting);
  }

  /** One timer at a time, which stays set until what it began is over. */
  #arm(): void {
    if (this.#waiting.size === 0) return;
    this.#timer ??= this.#clock.setBackgroundTimer(EVERY_MS, () => {
      void this.#flush().then(() => {
        this.#timer = undefined;
        this.#arm();
      });
    });
  }

  async #flush(): Promise<void> {
    const now = this.#clock.now();
    for (const one of this.#waiting) {
      if (one.until > now) break;
      this.#waiting.delete(one);
    }
    while (this.#connection.up && this.#waiting.size > 0) {
      const batch = [...this.#waiting].slice(0, AT_ONCE);
      const heard = await Promise.all(batch.map((one) => this.#deliver(one)));
      if (!heard.every(Boolean)) return;
    }
  }

  async #deliver(one: Waiting): Promise<boolean> {
    const heard = (await one.message()) !== undefined;
    if (heard) this.#waiting.delete(one);
    return heard;
  }
}
