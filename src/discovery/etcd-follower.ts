/**
 * Keeps up with keys in etcd: reads them all at one revision and watches from the next. A watch that broke goes on where it
 * was. Everything is read anew when the revisions in between were compacted, when the store is another one or went back in
 * time, when etcd ends the watch for a reason of its own, and now and then in any case: that is how a watch is found out that only seems to stand.
 */
import { WatchRefused } from './etcd-client.ts';
import type { EtcdClient, EtcdKeys } from './etcd-client.ts';
import type { EtcdEntry, EtcdRange, EtcdWatched } from './etcd-messages.ts';
import { Pursuit, pause } from './pursuit.ts';
import type { PursuitDeps } from './pursuit.ts';
import { SourceError } from './source-error.ts';

export interface EtcdFollowerDeps extends PursuitDeps {
  /** Told of what stands now, by key: at first, after every change and when etcd is back. */
  readonly onEntries: (entries: ReadonlyMap<string, string>) => void;
  /** Told of every try that failed. What was known last stays true as far as anybody knows. */
  readonly onFailed: (message: string) => void;
}

/** Default time between two readings of everything; up to a fifth less by chance. */
const REFRESH_MS = 30_000;
const REFRESH_JITTER = 0.2;
/** Sidecars that have to read everything anew do not all do so at once. */
const SPREAD_MS = 200;

/** Why a watch was given up by us. */
class ReadAnew extends Error {}

export class EtcdFollower {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #deps: EtcdFollowerDeps;
  readonly #refreshMs: number;
  readonly #pursuit: Pursuit;
  #entries = new Map<string, EtcdEntry>();
  /** Up to which everything is known; undefined: nothing is. */
  #revision: number | undefined;
  #cluster = '';
  /** When a watch last could not go on from where it began. */
  #lostAt = Number.NEGATIVE_INFINITY;

  /** @param refreshMs milliseconds between two readings of everything; default 30 000 */
  constructor(client: EtcdClient, keys: EtcdKeys, deps: EtcdFollowerDeps, refreshMs = REFRESH_MS) {
    this.#client = client;
    this.#keys = keys;
    this.#deps = deps;
    this.#refreshMs = refreshMs;
    this.#pursuit = new Pursuit(deps, (signal) => this.#follow(signal), deps.onFailed);
  }

  start(): void {
    this.#pursuit.start();
  }

  dispose(): void {
    this.#pursuit.dispose();
  }

  /** Until the watch ends. @throws SourceError */
  async #follow(signal: AbortSignal): Promise<number> {
    if (this.#revision === undefined) this.#takeAll(await this.#client.range(this.#keys, signal));
    const watch = new AbortController();
    const giveUp = (): void => watch.abort(signal.reason);
    signal.addEventListener('abort', giveUp);
    try {
      void this.#refresh(watch);
      await this.#watch(watch.signal);
    } catch (error) {
      if (error instanceof WatchRefused) this.#revision = undefined;
      if (!watch.signal.aborted || signal.aborted) throw error;
      const reason: unknown = watch.signal.reason;
      if (!(reason instanceof ReadAnew)) throw reason;
    } finally {
      signal.removeEventListener('abort', giveUp);
      watch.abort();
    }
    return this.#deps.random.next() * SPREAD_MS;
  }

  /** Ends where everything has to be read anew. */
  async #watch(signal: AbortSignal): Promise<void> {
    const from = (this.#revision ?? 0) + 1;
    for await (const message of this.#client.watch(this.#keys, from, signal)) {
      if (signal.aborted) return;
      if (message.compacted || this.#isElsewhere(message)) return this.#lost();
      if (this.#takeChanges(message) || message.created) this.#tell();
    }
  }

  /** @throws SourceError where that happens again and again: reading anew at once does not help then */
  #lost(): void {
    this.#revision = undefined;
    const before = this.#lostAt;
    this.#lostAt = this.#deps.clock.now();
    if (this.#lostAt - before < REFRESH_MS)
      throw new SourceError('etcd: watches do not go on from where all was read');
  }

  /** A revision that is yet to come would be waited for without a word, were it only because the store was put back. */
  #isElsewhere({ cluster, revision, created }: EtcdWatched): boolean {
    if (cluster !== '' && cluster !== this.#cluster) return true;
    return created && revision > 0 && revision < (this.#revision ?? 0);
  }

  /** Reads everything now and then, beside the watch; gives the watch up where it had not told of everything. */
  async #refresh(watch: AbortController): Promise<void> {
    const { clock, random } = this.#deps;
    for (;;) {
      await pause(clock, this.#refreshMs * (1 - REFRESH_JITTER * random.next()), watch.signal);
      if (watch.signal.aborted) return;
      try {
        const before = this.#revision ?? 0;
        const range = await this.#client.range(this.#keys, watch.signal);
        if (watch.signal.aborted) return;
        // The watch may have got ahead of the reading.
        const overtaken = range.revision >= before && range.revision < (this.#revision ?? 0);
        if (overtaken || !this.#hasNews(range)) continue;
        this.#takeAll(range);
        watch.abort(new ReadAnew());
      } catch (error) {
        watch.abort(error);
      }
    }
  }

  #hasNews({ entries, revision, cluster }: EtcdRange): boolean {
    if (revision < (this.#revision ?? 0) || cluster !== this.#cluster) return true;
    if (entries.length !== this.#entries.size) return true;
    return entries.some(({ key, revision: changed }) => this.#entries.get(key)?.revision !== changed);
  }

  #takeAll({ revision, cluster, entries }: EtcdRange): void {
    this.#revision = revision;
    this.#cluster = cluster;
    this.#entries = new Map(entries.map((entry) => [entry.key, entry]));
    this.#tell();
  }

  /** @returns whether there were any */
  #takeChanges({ entries, revision, created }: EtcdWatched): boolean {
    const known = this.#revision ?? 0;
    const fresh = entries.filter((entry) => entry.revision > known);
    for (const entry of fresh) {
      if (entry.value === undefined) this.#entries.delete(entry.key);
      else this.#entries.set(entry.key, entry);
    }
    // What comes with changes, or before them, is the store's revision, and more of what led to it may follow.
    const told = entries.length === 0 && !created ? revision : 0;
    this.#revision = fresh.reduce(
      (highest, entry) => Math.max(highest, entry.revision),
      Math.max(known, told),
    );
    return fresh.length > 0;
  }

  #tell(): void {
    const texts = [...this.#entries.values()].map(({ key, value = '' }) => [key, value] as const);
    this.#deps.onEntries(new Map(texts));
  }
}
