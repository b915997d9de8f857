/** Answers in this process: those that were not used for longest give way when there is no more room. */
import { LRUCache } from 'lru-cache';
import { sizeOf } from '../../core/answer-store.ts';
import type {
  AnswerKey,
  AnswerShelf,
  AnswerStore,
  Found,
  PurgeFilter,
  ShelfBounds,
  Shelved,
} from '../../core/answer-store.ts';
import type { Clock } from '../../core/clock.ts';

interface Slot {
  readonly key: AnswerKey;
  readonly shelved: Shelved;
  readonly storedAt: number;
  readonly storedWallMs: number;
  readonly keepForMs: number;
}

type Slots = LRUCache<string, Slot>;

export class MemoryShelf implements AnswerShelf {
  readonly #clock: Clock;
  #bounds: ShelfBounds;
  /** Undefined where nothing may be kept. */
  #slots: Slots | undefined;
  /** Names of the slots of each group. */
  readonly #groups = new Map<string, Set<string>>();

  constructor(clock: Clock, bounds: ShelfBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
    this.#slots = this.#slotsWithin(bounds);
  }

  get(key: AnswerKey): Found | undefined {
    const name = nameOf(key);
    const slot = this.#slots?.get(name);
    if (!slot) return undefined;
    const heldForMs = this.#since(slot);
    if (heldForMs < slot.keepForMs) return { shelved: slot.shelved, heldForMs };
    this.#slots?.delete(name);
    return undefined;
  }

  put(key: AnswerKey, shelved: Shelved, keepForMs: number): void {
    const name = nameOf(key);
    // What was there is outdated, even where its successor does not fit.
    this.#slots?.delete(name);
    if (sizeOf(shelved) > this.#bounds.maxEntryBytes) return;
    this.#add({ key, shelved, keepForMs, storedAt: this.#clock.now(), storedWallMs: this.#clock.wallMs() });
  }

  /** The monotonic clock stands still while the machine sleeps, the wall clock may be put back: whichever went further counts. */
  #since({ storedAt, storedWallMs }: Slot): number {
    return Math.max(this.#clock.now() - storedAt, this.#clock.wallMs() - storedWallMs);
  }

  drop(group: string): void {
    for (const name of [...(this.#groups.get(group) ?? [])]) this.#slots?.delete(name);
  }

  async purge({ group, pathPrefix = '' }: PurgeFilter): Promise<number> {
    let gone = 0;
    const names = group === undefined ? (this.#slots?.keys() ?? []) : (this.#groups.get(group) ?? []);
    for (const name of [...names]) {
      const shelved = this.#slots?.peek(name)?.shelved;
      if (!shelved?.path.startsWith(pathPrefix)) continue;
      this.#slots?.delete(name);
      if (shelved.kind === 'answer') gone += 1;
    }
    return gone;
  }

  get held(): { entries: number; bytes: number } {
    return { entries: this.#slots?.size ?? 0, bytes: this.#slots?.calculatedSize ?? 0 };
  }

  resize(bounds: ShelfBounds): void {
    const before = this.#slots;
    this.#bounds = bounds;
    this.#groups.clear();
    this.#slots = this.#slotsWithin(bounds);
    for (const name of before?.rkeys() ?? []) {
      const slot = before?.peek(name);
      if (slot && sizeOf(slot.shelved) <= bounds.maxEntryBytes) this.#add(slot);
    }
  }

  #add(slot: Slot): void {
    const name = nameOf(slot.key);
    this.#slots?.set(name, slot, { size: sizeOf(slot.shelved) });
    if (!this.#slots?.has(name)) return;
    const { group } = slot.key;
    const names = this.#groups.get(group);
    if (names) names.add(name);
    else this.#groups.set(group, new Set([name]));
  }

  #slotsWithin({ maxBytes }: ShelfBounds): Slots | undefined {
    if (maxBytes === 0) return undefined;
    return new LRUCache({ maxSize: maxBytes, disposeAfter: ({ key }, name) => this.#forget(key, name) });
  }

  #forget({ group }: AnswerKey, name: string): void {
    const names = this.#groups.get(group);
    if (names?.delete(name) && names.size === 0) this.#groups.delete(group);
  }
}

const nameOf = ({ group, variant }: AnswerKey): string => `${group}/${variant}`;

export const memoryAnswers = (clock: Clock): AnswerStore => ({
  open: (_space, bounds) => new MemoryShelf(clock, bounds),
});
