/** The list that a source of endpoints gave last. It stays while the source is away, and outlives the process. */
import { z } from 'zod';
import type { Clock } from '../core/clock.ts';
import type { EndpointDescription } from '../core/endpoint.ts';
import type { DiscoveryStatus, EndpointSource } from '../core/endpoint-source.ts';
import type { Emit } from '../core/events.ts';
import type { Persistent, PersistentState } from '../core/persistence.ts';
import { foundEndpointSchema } from '../schema/endpoint.ts';
import type { Discoverer, ListSink } from './kind.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** Endpoints came, went or are described in another way. Addresses without their paths. */
    'discovery-changed': {
      readonly upstream: string;
      readonly added: readonly string[];
      readonly removed: readonly string[];
      readonly endpoints: number;
    };
    /** The source is of no use; the list stays. Once until it recovers. */
    'discovery-failed': { readonly upstream: string; readonly kind: string; readonly message: string };
    /** Entries of the list that cannot be read, and could before or are new; the others count. */
    'discovery-entries-refused': {
      readonly upstream: string;
      readonly kind: string;
      /** The first few, each with why. */
      readonly entries: readonly string[];
      readonly count: number;
    };
    /** The source is back. */
    'discovery-recovered': { readonly upstream: string; readonly kind: string; readonly awayMs: number };
  }
}

export interface DiscoveredDeps {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly upstream: string;
  readonly kind: string;
  readonly build: (list: ListSink) => Discoverer;
}

/** More are refused: such a list is a mistake, and would take the memory that calls need. */
export const MAX_ENDPOINTS = 10_000;

/** As many entries that cannot be read are named at a time. */
const MOST_NAMED = 5;

const savedSchema = z.array(foundEndpointSchema).max(MAX_ENDPOINTS);

export class Discovered implements EndpointSource, Persistent, Discoverer {
  version = 0;
  started = false;
  endpoints: readonly EndpointDescription[] = [];
  readonly #deps: DiscoveredDeps;
  readonly #discoverer: Discoverer;
  readonly #first = Promise.withResolvers<void>();
  #fingerprint = '[]';
  #refused: ReadonlyMap<string, string> = new Map();
  #heardAt: number | undefined;
  #failure: { readonly message: string; readonly since: number } | undefined;
  #disposed = false;

  constructor(deps: DiscoveredDeps) {
    this.#deps = deps;
    this.#discoverer = deps.build({
      replace: (endpoints, refused) => this.#replace(endpoints, refused),
      failed: (message) => this.#failed(message),
    });
  }

  /** Resolves when there is a list: the first, or the one that an earlier process had; or when there never will be. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  get status(): DiscoveryStatus {
    const { kind, clock } = this.#deps;
    return {
      kind,
      endpoints: this.endpoints.length,
      ageMs: this.#heardAt === undefined ? undefined : clock.now() - this.#heardAt,
      failure: this.#failure?.message,
    };
  }

  start(): void {
    if (this.started || this.#disposed) return;
    this.started = true;
    this.#discoverer.start();
  }

  dispose(): void {
    this.#disposed = true;
    this.#discoverer.dispose();
    this.#first.resolve();
  }

  capture(): PersistentState | undefined {
    // What is undefined is not written, and this is plain data otherwise.
    return this.version === 0 ? undefined : (this.endpoints as unknown as PersistentState);
  }

  restore(saved: unknown): boolean {
    const list = savedSchema.safeParse(saved);
    if (!list.success) return false;
    if (this.version === 0) this.#take(list.data);
    return true;
  }

  #replace(
    endpoints: readonly EndpointDescription[],
    refused: ReadonlyMap<string, string> = new Map(),
  ): void {
    if (this.#disposed) return;
    const usable = endpoints.filter(({ url }) => URL.canParse(url));
    this.#refuse(usable.length < endpoints.length ? withUnusable(endpoints, refused) : refused);
    const list = withoutDuplicates(usable);
    if (list.length > MAX_ENDPOINTS)
      return this.#failed(`expected at most ${MAX_ENDPOINTS} endpoints, got ${list.length}`);
    this.#heardAt = this.#deps.clock.now();
    this.#recovered();
    this.#take(list);
  }

  #take(list: readonly EndpointDescription[]): void {
    const fingerprint = JSON.stringify(list);
    const isFirst = this.version === 0;
    if (fingerprint === this.#fingerprint && !isFirst) return;
    const before = this.endpoints;
    this.#fingerprint = fingerprint;
    this.endpoints = list;
    this.version += 1;
    this.#first.resolve();
    const { emit, upstream } = this.#deps;
    emit('discovery-changed', {
      upstream,
      added: originsOf(list, before),
      removed: originsOf(before, list),
      endpoints: list.length,
    });
  }

  #refuse(refused: ReadonlyMap<string, string>): void {
    const fresh = [...refused].filter(([entry, why]) => this.#refused.get(entry) !== why);
    this.#refused = refused;
    if (fresh.length === 0) return;
    const { emit, upstream, kind } = this.#deps;
    const entries = fresh.slice(0, MOST_NAMED).map(([entry, why]) => `${entry}: ${why}`);
    emit('discovery-entries-refused', { upstream, kind, entries, count: fresh.length });
  }

  #failed(message: string): void {
    if (this.#disposed) return;
    const { clock, emit, upstream, kind } = this.#deps;
    const isNew = this.#failure === undefined;
    this.#failure = { message, since: this.#failure?.since ?? clock.now() };
    if (isNew) emit('discovery-failed', { upstream, kind, message });
  }

  #recovered(): void {
    const { clock, emit, upstream, kind } = this.#deps;
    if (!this.#failure) return;
    const awayMs = Math.round(clock.now() - this.#failure.since);
    this.#failure = undefined;
    emit('discovery-recovered', { upstream, kind, awayMs });
  }
}

/** Sources check what they find. Should one not, no call may find that out. */
const withUnusable = (
  endpoints: readonly EndpointDescription[],
  refused: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> => {
  const unusable = endpoints.filter(({ url }) => !URL.canParse(url));
  return new Map([
    ...refused,
    ...unusable.map(({ instance }, i) => [instance ?? `[${i}]`, 'its URL is none'] as const),
  ]);
};

/** In the order given; the first of those with one address counts. */
function withoutDuplicates(endpoints: readonly EndpointDescription[]): EndpointDescription[] {
  const byUrl = new Map<string, EndpointDescription>();
  for (const one of endpoints) {
    const address = one.url.replace(/\/+$/, '');
    if (!byUrl.has(address)) byUrl.set(address, one);
  }
  return [...byUrl.values()];
}

/** Of those in `list` that are not in `other`. A path may be a secret. */
function originsOf(
  list: readonly EndpointDescription[],
  other: readonly EndpointDescription[],
): readonly string[] {
  const known = new Set(other.map(({ url }) => url));
  return list.filter(({ url }) => !known.has(url)).map(({ url }) => new URL(url).origin);
}
