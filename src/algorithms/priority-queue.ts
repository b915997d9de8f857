/**
 * A queue in which the more important go first, but nobody waits for ever: waiting raises everyone at the same pace, so
 * the order of two entries never changes and a plain binary heap can hold them.
 */

/** A place in the queue; only the queue that gave it out can use it. */
export interface Place<T> {
  readonly value: T;
  /** The higher, the sooner. */
  readonly rank: number;
  /** When it joined. */
  readonly since: number;
}

class Entry<T> implements Place<T> {
  readonly value: T;
  readonly rank: number;
  readonly since: number;
  /** The instant at which an entry of rank 0 would have had to join to stand here. */
  readonly standing: number;
  readonly number: number;
  /** Where it is in the heap; -1 once it has left. */
  at = -1;

  constructor(value: T, given: { rank: number; since: number; standing: number; number: number }) {
    this.value = value;
    this.rank = given.rank;
    this.since = given.since;
    this.standing = given.standing;
    this.number = given.number;
  }
}

export class PriorityQueue<T> {
  /**
   * Head start that one rank is worth, in milliseconds ≥ 0: an entry is passed by others whose rank is higher by n only
   * while it has waited less than n · msPerRank. 0: first come, first served. A change counts for those who join later.
   */
  msPerRank: number;
  readonly #heap: Entry<T>[] = [];
  #joined = 0;

  constructor(msPerRank: number) {
    this.msPerRank = msPerRank;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Joins behind everyone of its rank. O(log n). */
  push(value: T, rank: number, now: number): Place<T> {
    const standing = now - rank * this.msPerRank;
    const entry = new Entry(value, { rank, since: now, standing, number: this.#joined++ });
    entry.at = this.#heap.push(entry) - 1;
    this.#rise(entry);
    return entry;
  }

  /** Whose turn it is; undefined when nobody waits. */
  peek(): Place<T> | undefined {
    return this.#heap[0];
  }

  /** Takes out whose turn it is. */
  shift(): Place<T> | undefined {
    const first = this.#heap[0];
    if (first) this.remove(first);
    return first;
  }

  /** Gives a place up, wherever it is. O(log n). @returns false when it was given up or served before */
  remove(place: Place<T>): boolean {
    const entry = place as Entry<T>;
    const { at } = entry;
    if (this.#heap[at] !== entry) return false;
    const last = this.#heap.pop() as Entry<T>;
    entry.at = -1;
    if (last === entry) return true;
    this.#put(last, at);
    this.#rise(last);
    this.#sink(last);
    return true;
  }

  #rise(entry: Entry<T>): void {
    while (entry.at > 0) {
      const parent = this.#heap[(entry.at - 1) >> 1] as Entry<T>;
      if (!isBefore(entry, parent)) return;
      this.#swap(entry, parent);
    }
  }

  #sink(entry: Entry<T>): void {
    for (;;) {
      const [left, right] = [this.#heap[2 * entry.at + 1], this.#heap[2 * entry.at + 2]];
      const child = right && left && isBefore(right, left) ? right : left;
      if (!child || !isBefore(child, entry)) return;
      this.#swap(entry, child);
    }
  }

  #swap(a: Entry<T>, b: Entry<T>): void {
    const { at } = a;
    this.#put(a, b.at);
    this.#put(b, at);
  }

  #put(entry: Entry<T>, at: number): void {
    this.#heap[at] = entry;
    entry.at = at;
  }
}

const isBefore = <T>(a: Entry<T>, b: Entry<T>): boolean =>
  a.standing < b.standing || (a.standing === b.standing && a.number < b.number);
