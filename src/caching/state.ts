/** What a cache has at hand, and what lives on when its options change. */
import { ByteBudget } from '../algorithms/byte-budget.ts';
import type { AnswerShelf, ShelfBounds } from '../core/answer-store.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Flight } from './flight.ts';
import { RecentKeys, Voids } from './recent-keys.ts';

/** How a request was dealt with. */
export const CACHE_RESULTS = [
  /** From what is kept. */
  'hit',
  /** From what is kept, past its freshness. */
  'stale',
  /** From what is kept, after the upstream said that it still holds. */
  'revalidated',
  /** By the upstream. */
  'miss',
  /** By the upstream, with the answer to somebody else who asked the same. */
  'joined',
  /** It was none for the cache. */
  'bypass',
] as const;

export type CacheResult = (typeof CACHE_RESULTS)[number];

/** Enough for what is asked often. */
const REMEMBERED = 1_000;

/** For so long nobody waits for an answer that was for one alone. */
const ALONE_MS = 60_000;

export class CacheState {
  readonly shelf: AnswerShelf;
  /** Under way, by what is asked. */
  readonly flights = new Map<string, Flight>();
  readonly voids = new Voids();
  readonly counts: Record<CacheResult, number> = {
    hit: 0,
    stale: 0,
    revalidated: 0,
    miss: 0,
    joined: 0,
    bypass: 0,
  };
  /** Room for answers on their way. */
  memory: ByteBudget;
  /** Cancels what is renewed in the background. */
  readonly refreshing = new Set<Cancellation>();
  readonly #alone = new RecentKeys(REMEMBERED);

  constructor(shelf: AnswerShelf, memoryBytes: number) {
    this.shelf = shelf;
    this.memory = new ByteBudget(memoryBytes);
  }

  /** Takes over other bounds. What is on its way keeps the room that it has. */
  resize(bounds: ShelfBounds): void {
    this.shelf.resize(bounds);
    if (bounds.maxBytes !== this.memory.limitBytes) this.memory = new ByteBudget(bounds.maxBytes);
  }

  /** Whether the last answer to it was for one alone: then it is not waited for. */
  isAlone(key: string, now: number): boolean {
    return (this.#alone.get(key) ?? Number.NEGATIVE_INFINITY) > now;
  }

  rememberAlone(key: string, now: number): void {
    this.#alone.set(key, now + ALONE_MS);
  }

  /** What was asked for has changed. */
  void(group: string): void {
    this.voids.void(group);
    this.shelf.drop(group);
    for (const [key, flight] of this.flights) if (key.startsWith(`${group}/`)) flight.close();
  }

  voidAll(): void {
    this.voids.voidAll();
    for (const flight of this.flights.values()) flight.close();
  }
}
