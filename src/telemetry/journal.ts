/** The last events, for operators: state changes and troubles, not traffic. What is entered stands in the topics. */
import type { Clock } from '../core/clock.ts';
import type { Bus } from './bus.ts';
import type { Detail, Note } from './topic.ts';
import { TOPICS } from './topics/index.ts';

export interface JournalEntry {
  /** Counts from 1; gaps say that entries were dropped, or newer ones took their places. */
  readonly id: number;
  readonly time: string;
  readonly event: string;
  readonly upstream?: string;
  readonly detail: Detail;
}

/** A crowd is what comes so long after the first; then another one begins. */
const CROWD_MS = 10_000;
/** Of a crowd, with entries of their own. */
const FIRST_FEW = 3;

interface Crowd {
  readonly beganAt: number;
  readonly since: string;
  times: number;
  /** For those after the first few. */
  entry: JournalEntry | undefined;
}

export class Journal {
  readonly #clock: Clock;
  /** Entries kept. */
  limit = 1_000;
  readonly #entries: JournalEntry[] = [];
  /** By event and crowd, oldest first; at most as many as entries. */
  readonly #crowds = new Map<string, Crowd>();
  #lastId = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  listen(bus: Bus): void {
    const note: Note = (event, upstream, detail, crowd) => {
      if (crowd === undefined) this.#add(event, upstream, detail);
      else this.#join(`${event} ${upstream ?? ''} ${crowd}`, [event, upstream, detail]);
    };
    for (const topic of TOPICS) topic.journal?.(bus, note);
  }

  /** Oldest first. @param after only entries with a greater id */
  entries(after = 0): readonly JournalEntry[] {
    return this.#entries.filter(({ id }) => id > after);
  }

  /** The entry for the rest gets a new id each time, so that whoever reads on hears of it. */
  #join(name: string, [event, upstream, detail]: Parameters<Note>): void {
    const crowd = this.#crowdOf(name);
    crowd.times += 1;
    if (crowd.times <= FIRST_FEW) {
      this.#add(event, upstream, detail);
      return;
    }
    const at = crowd.entry ? this.#entries.lastIndexOf(crowd.entry) : -1;
    if (at >= 0) this.#entries.splice(at, 1);
    crowd.entry = this.#add(event, upstream, { ...detail, times: crowd.times, since: crowd.since });
  }

  #crowdOf(name: string): Crowd {
    const now = this.#clock.now();
    const known = this.#crowds.get(name);
    if (known && now - known.beganAt < CROWD_MS) return known;
    const since = this.#clock.wallTime().toISOString();
    const crowd: Crowd = { beganAt: now, since, times: 0, entry: undefined };
    this.#crowds.delete(name);
    this.#crowds.set(name, crowd);
    this.#forgetCrowds(now);
    return crowd;
  }

  #forgetCrowds(now: number): void {
    for (const [name, { beganAt }] of this.#crowds) {
      if (now - beganAt < CROWD_MS && this.#crowds.size <= this.limit) return;
      this.#crowds.delete(name);
    }
  }

  #add(event: string, upstream: string | undefined, detail: Detail): JournalEntry {
    const time = this.#clock.wallTime().toISOString();
    const entry: JournalEntry = {
      id: ++this.#lastId,
      time,
      event,
      ...(upstream !== undefined && { upstream }),
      detail,
    };
    this.#entries.push(entry);
    if (this.#entries.length > this.limit) this.#entries.splice(0, this.#entries.length - this.limit);
    return entry;
  }
}
