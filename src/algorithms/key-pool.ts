/**
 * Keys for one service, used in turn. A key that was throttled rests; one that is not accepted is out. What is known of
 * a key belongs to its value and lives on in the pool that follows this one.
 */
import type { Hint } from '../core/hint-store.ts';
import type { Random } from '../core/random.ts';
import { KeyState } from './key-state.ts';
import type { KeyMemory, KeyStateName, KeyTimes, OutCause } from './key-state.ts';

export interface PooledKey {
  /** For people. */
  readonly name: string;
  /** Stands for the key's value without being it. */
  readonly id: string;
  /** Its share of the calls, beside those of the others. */
  readonly weight: number;
}

export interface KeyChange {
  readonly name: string;
  readonly from: KeyStateName;
  readonly to: KeyStateName;
  readonly cause: OutCause;
  /** Milliseconds until it may be used again; Infinity when only somebody's word brings it back. */
  readonly waitMs: number;
  /** Another sidecar said so. */
  readonly hinted: boolean;
}

export interface KeyPoolOptions {
  readonly times: KeyTimes;
  readonly random: Random;
  readonly now: () => number;
  readonly onChange: (change: KeyChange) => void;
  /** What another sidecar said of the key of that identity. Default: nothing. */
  readonly heard?: (id: string) => Hint | undefined;
}

export interface KeyView {
  readonly name: string;
  readonly state: KeyStateName;
  /** 0 when it may be used, Infinity when no time will do. */
  readonly waitMs: number;
}

/** Why no key can be used. */
export interface Shortage {
  readonly cause: 'throttled' | OutCause;
  /** Milliseconds until the first of them may be used again; undefined when nobody knows. */
  readonly waitMs: number | undefined;
}

interface Entry<K> {
  readonly key: K;
  readonly state: KeyState;
}

export class KeyPool<K extends PooledKey> {
  readonly #entries: readonly Entry<K>[];
  readonly #options: KeyPoolOptions;

  /** @param previous whose knowledge of the same keys is shared from now on: calls under way there still add to it */
  constructor(keys: readonly K[], options: KeyPoolOptions, previous?: KeyPool<K>) {
    this.#options = options;
    const before = previous ? previous.#entries : [];
    const known = new Map(before.map(({ key, state }) => [key.id, state]));
    const unique = new Map(keys.toReversed().map((key) => [key.id, key]));
    this.#entries = keys
      .filter((key) => unique.get(key.id) === key)
      .map((key) => ({ key, state: known.get(key.id) ?? new KeyState() }));
  }

  /**
   * The key to use now; undefined when none can be used. A lone key always can, and needs no rest: what its service says
   * of it tells more than a refusal of ours.
   * @param tried names of keys that come last, for this call has tried them
   */
  pick(tried: readonly string[]): K | undefined {
    if (this.#isLone) return this.#entries[0]?.key;
    this.#listen();
    const now = this.#options.now();
    for (const entry of this.#entries)
      if (entry.state.name === 'cooling') this.#watch(entry, () => entry.state.wake(now));
    const chosen = this.#nextOf(this.#best(now, tried));
    chosen?.state.use(now);
    return chosen?.key;
  }

  /** The key of that name, where it can be used now. */
  named(name: string | undefined): K | undefined {
    this.#listen();
    const now = this.#options.now();
    const entry = this.#find(name);
    if (!entry || entry.state.waitAt(now) > 0) return undefined;
    entry.state.use(now);
    return entry.key;
  }

  /** Whether a key could be used that is none of these. */
  hasOther(names: readonly string[]): boolean {
    const now = this.#options.now();
    return this.#entries.some(({ key, state }) => !names.includes(key.name) && state.waitAt(now) === 0);
  }

  /** Only of use where `pick` found nothing. */
  shortage(): Shortage {
    const now = this.#options.now();
    const waitMs = Math.min(...this.#entries.map(({ state }) => state.waitAt(now)));
    const states = this.#entries.map(({ state }) =>
      state.nameAt(now) === 'out' ? state.cause : 'throttled',
    );
    const cause = (['throttled', 'quota'] as const).find((one) => states.includes(one)) ?? 'auth';
    return { cause, waitMs: Number.isFinite(waitMs) ? waitMs : undefined };
  }

  /**
   * @param askedMs how long the service asked to wait, where it did
   * @returns milliseconds for which it now rests, where that is news; else 0
   */
  cool(name: string, startedAt: number, askedMs: number | undefined): number {
    const { times, random } = this.#options;
    if (this.#isLone) return 0;
    let forMs = 0;
    this.#change(name, (state, now) => {
      const before = state.waitAt(now);
      state.cool({ now, startedAt }, askedMs, { times, random });
      if (state.name === 'cooling' && state.waitAt(now) > before) forMs = state.waitAt(now);
    });
    return forMs;
  }

  /** @param askedMs how long the service asked to wait, where it did */
  takeOut(
    name: string,
    cause: OutCause,
    { startedAt, askedMs = 0 }: { startedAt: number; askedMs?: number },
  ): void {
    const { outMs, maxRetryAfterMs } = this.#options.times;
    const waitMs = Math.max(outMs, Math.min(askedMs, maxRetryAfterMs));
    this.#change(name, (state, now) => state.takeOut({ now, startedAt }, cause, waitMs));
  }

  accept(name: string, startedAt: number): void {
    this.#change(name, (state) => state.accept(startedAt));
  }

  /** An attempt with it ended in a way that says nothing about it. */
  release(name: string, startedAt: number): void {
    this.#change(name, (state) => state.release(startedAt));
  }

  /** @returns false when there is no key of that name */
  reset(name: string): boolean {
    this.#change(name, (state) => state.reset());
    return this.#find(name) !== undefined;
  }

  isOut(name: string): boolean {
    return this.#find(name)?.state.nameAt(this.#options.now()) === 'out';
  }

  /** Identity of the key of that name. */
  idOf(name: string): string | undefined {
    return this.#find(name)?.key.id;
  }

  get names(): readonly string[] {
    return this.#entries.map(({ key }) => key.name);
  }

  view(): KeyView[] {
    const now = this.#options.now();
    return this.#entries.map(({ key, state }) => ({
      name: key.name,
      state: state.nameAt(now),
      waitMs: state.waitAt(now),
    }));
  }

  /** What outlives the process, by the identity of the key. */
  get memories(): readonly (KeyMemory & { readonly id: string })[] {
    return this.#entries.flatMap(({ key: { id }, state: { memory } }) => (memory ? [{ id, ...memory }] : []));
  }

  /** What was known of a key that is not there any more is of no use. */
  restore(id: string, memory: KeyMemory): void {
    const entry = this.#entries.find(({ key }) => key.id === id);
    if (entry) this.#watch(entry, (now) => entry.state.restore(memory, now, this.#options.times));
  }

  get #isLone(): boolean {
    return this.#entries.length === 1;
  }

  #find(name: string | undefined): Entry<K> | undefined {
    return this.#entries.find(({ key }) => key.name === name);
  }

  #change(name: string, act: (state: KeyState, now: number) => void): void {
    const entry = this.#find(name);
    if (entry) this.#watch(entry, (now) => act(entry.state, now));
  }

  /** What others say of keys here. A lone key never rests, whoever asks for it. */
  #listen(): void {
    const { heard, times } = this.#options;
    if (!heard || this.#isLone) return;
    for (const entry of this.#entries) {
      const hint = heard(entry.key.id);
      if (hint) this.#watch(entry, (now) => entry.state.hear(hint, now, times));
    }
  }

  /** Tells when `act` made another state of it. */
  #watch({ key, state }: Entry<K>, act: (now: number) => void): void {
    const now = this.#options.now();
    const from = state.name;
    act(now);
    if (state.name === from) return;
    const { cause, name: to, hinted } = state;
    this.#options.onChange({ name: key.name, from, to, cause, waitMs: state.waitAt(now), hinted });
  }

  /** The usable keys of the best rank: untried ones first, and what is out on trial only where the call can afford it. */
  #best(now: number, tried: readonly string[]): readonly Entry<K>[] {
    const rank = ({ key, state }: Entry<K>): number => {
      if (tried.includes(key.name)) return 2;
      return tried.length > 0 && state.name === 'out' ? 1 : 0;
    };
    const usable = this.#entries.filter(({ state }) => state.waitAt(now) === 0);
    const best = Math.min(...usable.map(rank));
    return usable.filter((entry) => rank(entry) === best);
  }

  /** Smooth weighted round robin, as in nginx: shares are exact and evenly spread. */
  #nextOf(entries: readonly Entry<K>[]): Entry<K> | undefined {
    let chosen: Entry<K> | undefined;
    let total = 0;
    for (const entry of entries) {
      total += entry.key.weight;
      entry.state.credit += entry.key.weight;
      if (!chosen || entry.state.credit > chosen.state.credit) chosen = entry;
    }
    if (chosen) chosen.state.credit -= total;
    return chosen;
  }
}
