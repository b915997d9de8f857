/**
 * Keeps a catalog in line with those of other sidecars. Nobody who asks the registry waits for it: what instances tell is
 * gathered and told to the others a moment later, and what the others tell is heard twice a second. While there is nobody
 * to tell, the catalog serves on with what it knows; what was told meanwhile is told when somebody is there again.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { SharedAnswer, SharedInstances, SharedNews, SharedTold } from '../core/shared-instances.ts';
import type { Registration } from '../core/registry.ts';
import type { RegistryLimits } from '../schema/registry.ts';
import type { Catalog, Told } from './catalog.ts';
import { readRegistration } from './read-registration.ts';
import type { Entry } from './service.ts';

/** How late news is, a tenth aside that keeps sidecars from asking in step. */
const INTERVAL_MS = 500;
const JITTER_RATIO = 0.1;
/** A registration does not wait for that. */
const SOON_MS = 10;
/** Told in one step, which holds up everybody else in Redis. */
const AT_ONCE = 250;

/** Others write there, too, perhaps of another version: what this registry would refuse is nothing to its followers. */
function isRegistration({ service, id, zone, ...said }: Registration): boolean {
  const body = { ...said, ...(zone !== undefined && { zone }) };
  return readRegistration({ service, id, body, defaultTtlMs: 0, maxMetadata: Infinity }).ok;
}

type Pending = Told | 'keep';
type Batch = readonly (readonly [key: string, pending: Pending])[];

export interface SharingDeps {
  readonly clock: Clock;
  readonly random: Random;
}

export class Sharing {
  readonly #through: SharedInstances;
  readonly #catalog: Catalog;
  readonly #deps: SharingDeps;
  /** What the others have not been told, by `service/id`. */
  readonly #pending = new Map<string, Pending>();
  /** `service/id` of all that came since the beginning of a list that is not at its end. */
  #seen: Set<string> | undefined;
  #known = { epoch: '', revision: 0, continued: false };
  #timer: { readonly handle: TimerHandle; readonly dueAt: number } | undefined;
  /** Since then nobody answers; leases that ran out before were for others to watch. Undefined while somebody does. */
  #awaySince: number | undefined;
  /** How it was when a place was missing for something that the others told. */
  #full: { readonly size: number; readonly limits: RegistryLimits } | undefined;
  /** The end of the question under way. */
  #asked: Promise<void> | undefined;
  #stopped = false;

  constructor(through: SharedInstances, catalog: Catalog, deps: SharingDeps) {
    this.#through = through;
    this.#catalog = catalog;
    this.#deps = deps;
    this.#awaySince = deps.clock.now();
  }

  get up(): boolean {
    return this.#awaySince === undefined;
  }

  start(): void {
    this.#catalog.outlet = (told, service, id) => this.#note(`${service}/${id}`, told);
    this.#askIn(0);
  }

  /** What was told here last reaches the others, where somebody is there. Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#catalog.outlet = undefined;
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer.handle);
    await this.#asked;
    while (this.up && this.#hasNews) if (!(await this.#exchange(this.#nextBatch()))) return;
  }

  /** While others are there, they all decide together; while not, each of those that it hears itself. */
  isOurs({ instance, expiresAt }: Entry): boolean {
    return this.#awaySince !== undefined && instance.here && expiresAt >= this.#awaySince;
  }

  /** The last word counts, but a heartbeat must not hide that something changed. */
  #note(key: string, told: Told): void {
    if (told !== 'beat' || this.#pending.get(key) !== 'put') this.#pending.set(key, told);
    this.#forgetOldest();
    if (told !== 'beat' && this.up) this.#askIn(SOON_MS);
  }

  /** Whoever left while nobody is there to hear it is found to be gone by its lease. */
  #forgetOldest(): void {
    if (this.#pending.size <= 2 * this.#catalog.limits.maxInstances) return;
    const [oldest] = this.#pending.keys();
    if (oldest !== undefined) this.#pending.delete(oldest);
  }

  #askIn(ms: number): void {
    if (this.#stopped || this.#asked) return;
    const { clock } = this.#deps;
    const dueAt = clock.now() + ms;
    if (this.#timer && this.#timer.dueAt <= dueAt) return;
    if (this.#timer) clock.clearTimer(this.#timer.handle);
    const handle = clock.setBackgroundTimer(ms, () => {
      this.#timer = undefined;
      this.#asked = this.#ask();
    });
    this.#timer = { handle, dueAt };
  }

  async #ask(): Promise<void> {
    if (this.#full && this.#hasMoreRoomThan(this.#full)) this.#hearAllAnew();
    const batch = this.#nextBatch();
    const answer = await this.#exchange(batch);
    this.#asked = undefined;
    if (this.#stopped && answer) return;
    if (answer) this.#hear(answer);
    else this.#notHeard(batch);
    const urgent = answer !== undefined && (answer.more || this.#hasNews);
    const { random } = this.#deps;
    this.#askIn(urgent ? 0 : INTERVAL_MS * (1 + JITTER_RATIO * (2 * random.next() - 1)));
  }

  #nextBatch(): Batch {
    const batch = [...this.#pending].slice(0, AT_ONCE);
    for (const [key] of batch) this.#pending.delete(key);
    return batch;
  }

  #exchange(batch: Batch): Promise<SharedAnswer | undefined> {
    const { retention: retentionMs, maxInstances } = this.#catalog.limits;
    const told = batch.flatMap(([key, pending]) => this.#toldOf(key, pending) ?? []);
    return this.#through.exchange({ told, ...this.#known, retentionMs, maxInstances });
  }

  #hasMoreRoomThan({ size, limits }: { readonly size: number; readonly limits: RegistryLimits }): boolean {
    return this.#catalog.size < size || this.#catalog.limits !== limits;
  }

  /** What found no place is not told again unless it changes. */
  #hearAllAnew(): void {
    this.#full = undefined;
    this.#known = { ...this.#known, revision: 0, continued: false };
  }

  /** More than heartbeats, or more of those than fit in at once. */
  get #hasNews(): boolean {
    return this.#pending.size >= AT_ONCE || [...this.#pending.values()].some((told) => told !== 'beat');
  }

  #toldOf(key: string, pending: Pending): SharedTold | undefined {
    const [service = '', id = ''] = key.split('/');
    if (pending === 'delete') return { what: 'delete', service, id };
    const entry = this.#catalog.entry(service, id);
    if (!entry || entry.expiredAt !== undefined) return undefined;
    const { instance, expiresAt } = entry;
    const leftMs = Math.ceil(expiresAt - this.#deps.clock.now());
    // What others hear has no lease here: it gets a whole one, as after a restart.
    const leaseMs = pending === 'keep' ? instance.ttlMs : leftMs;
    return { what: pending, said: { ...instance, status: instance.reported }, leaseMs: Math.max(1, leaseMs) };
  }

  #notHeard(batch: Batch): void {
    this.#awaySince ??= this.#deps.clock.now();
    // What was said since then is newer.
    for (const [key, pending] of batch)
      if (!this.#pending.has(key) || (pending === 'put' && this.#pending.get(key) === 'beat'))
        this.#pending.set(key, pending);
  }

  #hear(answer: SharedAnswer): void {
    this.#awaySince = undefined;
    const lost = this.#known.epoch !== '' && answer.epoch !== this.#known.epoch;
    this.#known = { epoch: answer.epoch, revision: answer.revision, continued: answer.more };
    // It has forgotten everything, or never knew: each tells what it has.
    if (lost || answer.created) this.#keepAll();
    for (const key of answer.missing) if (this.#pending.get(key) !== 'delete') this.#pending.set(key, 'put');
    if (answer.whole) this.#seen = new Set();
    for (const news of answer.news) this.#take(news);
    if (!answer.more) this.#dropUnseen();
  }

  #keepAll(): void {
    for (const { name, entries } of this.#catalog.services)
      for (const [id, { expiredAt }] of entries)
        if (expiredAt === undefined && !this.#pending.has(`${name}/${id}`))
          this.#pending.set(`${name}/${id}`, 'keep');
  }

  #take(news: SharedNews): void {
    const { service, id } = news.what === 'left' ? news : news.said;
    const key = `${service}/${id}`;
    this.#seen?.add(key);
    const pending = this.#pending.get(key);
    // What was told here since is newer.
    if (pending === 'put' || pending === 'delete') return;
    if (pending === 'beat' && news.what !== 'alive') return;
    if (news.what === 'left') this.#catalog.forget(service, id, news.reason);
    else if (isRegistration(news.said)) {
      const placed = this.#catalog.accept(news.said, news.what === 'expired', { here: news.byUs });
      const { size, limits } = this.#catalog;
      if (!placed) this.#full = { size, limits };
    }
  }

  /** All there is was told, and this was not in it: it left while this one did not listen. */
  #dropUnseen(): void {
    const seen = this.#seen;
    this.#seen = undefined;
    if (!seen) return;
    for (const { name, entries } of this.#catalog.services)
      for (const id of [...entries.keys()]) {
        const key = `${name}/${id}`;
        if (!seen.has(key) && !this.#pending.has(key)) this.#catalog.forget(name, id, 'expired');
      }
  }
}
