/** The last events, for operators: state changes and troubles, not traffic. What is entered stands in the topics. */
import type { Clock } from '../core/clock.ts';
import type { Bus } from './bus.ts';
import { TOPICS } from './topics/index.ts';

export interface JournalEntry {
  /** Counts from 1; gaps say that older entries were dropped. */
  readonly id: number;
  readonly time: string;
  readonly event: string;
  readonly upstream?: string;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

/** Enters one event. @param upstream undefined for what concerns the whole process */
export type Note = (event: string, upstream: string | undefined, detail: JournalEntry['detail']) => void;

export class Journal {
  readonly #clock: Clock;
  /** Entries kept. */
  limit = 1_000;
  readonly #entries: JournalEntry[] = [];
  #lastId = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  listen(bus: Bus): void {
    const note: Note = (event, upstream, detail) => this.#add(event, upstream, detail);
    for (const topic of TOPICS) topic.journal?.(bus, note);
  }

  /** Oldest first. @param after only entries with a greater id */
  entries(after = 0): readonly JournalEntry[] {
    return this.#entries.filter(({ id }) => id > after);
  }

  #add(event: string, upstream: string | undefined, detail: JournalEntry['detail']): void {
    const time = this.#clock.wallTime().toISOString();
    this.#entries.push({
      id: ++this.#lastId,
      time,
      event,
      ...(upstream !== undefined && { upstream }),
      detail,
    });
    if (this.#entries.length > this.limit) this.#entries.splice(0, this.#entries.length - this.limit);
  }
}
