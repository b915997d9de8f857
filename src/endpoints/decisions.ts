/** What operators decided on endpoints that are not listed at present: one that flaps must not come back as if nothing were. */
import { digestOf } from '../algorithms/idempotency-key.ts';
import type { Operation } from '../core/endpoint.ts';
import type { Instants, PersistentState } from '../core/persistence.ts';
import { savedDecisionsSchema } from '../schema/endpoint.ts';
import { descriptionOf, identityOf } from './endpoint-names.ts';
import type { Unnamed } from './endpoint-names.ts';

interface Kept {
  /** What it was called; undefined where an earlier version kept it. */
  readonly name: string | undefined;
  readonly decision: Exclude<Operation, 'enabled'>;
  /** Monotonic instant from which it counts no more. */
  readonly until: number;
}

/** A decision on an endpoint that is not listed. */
export interface Remembered {
  readonly name: string;
  readonly decision: Kept['decision'];
  /** Milliseconds until it is forgotten. */
  readonly leftMs: number;
}

/** For so long after the endpoint left. An address that long out of use may be somebody else's. */
const KEPT_MS = 3_600_000;
/** As many as an upstream has endpoints: at a restart all of them are yet to come. The one that was kept first gives way. */
const MAX_KEPT = 10_000;

/** An endpoint that is listed, or was until now, and what was decided on it. */
interface Decided {
  readonly name: string;
  readonly endpoint: Unnamed;
  readonly operation: Operation;
}

export class Decisions {
  /** By digests: paths may hold secrets, and this is written to a file. */
  readonly #kept = new Map<string, Kept>();

  /** That one leaves the list. */
  keep({ name, endpoint, operation }: Decided, now: number): void {
    if (operation !== 'enabled')
      this.#keep(idOf(endpoint), { name, decision: operation, until: now + KEPT_MS });
  }

  /** Those on endpoints that are not listed, in the order in which they were kept. */
  remembered(now: number): Remembered[] {
    return [...this.#kept.values()].flatMap(({ name, decision, until }) =>
      name === undefined || now >= until ? [] : [{ name, decision, leftMs: until - now }],
    );
  }

  /**
   * What was decided on endpoints that were called so, counts no more.
   * @returns whether there was anything
   */
  takeBack(name: string, now: number): boolean {
    const found = [...this.#kept].filter(([, kept]) => kept.name === name && now < kept.until);
    for (const [id] of found) this.#kept.delete(id);
    return found.length > 0;
  }

  /** What was decided on one that is listed again; it knows by itself from now on. */
  take(endpoint: Unnamed, now: number): Operation {
    if (this.#kept.size === 0) return 'enabled';
    const id = idOf(endpoint);
    const kept = this.#kept.get(id);
    this.#kept.delete(id);
    return kept && now < kept.until ? kept.decision : 'enabled';
  }

  /** @param listed those that are listed, with what was decided on them */
  capture(listed: readonly Decided[], instants: Instants, now: number): PersistentState | undefined {
    for (const [id, { until }] of this.#kept) if (now >= until) this.#kept.delete(id);
    const decided = listed.filter(({ operation }) => operation !== 'enabled');
    // Those that are listed last: of too many the first give way.
    const decisions = [
      ...[...this.#kept].map(([id, { name, decision, until }]) => ({
        id,
        ...(name !== undefined && { name }),
        decision,
        until: instants.toSaved(until),
      })),
      ...decided.map(({ name, endpoint, operation }) => ({
        id: idOf(endpoint),
        name,
        decision: operation,
        until: null,
      })),
    ];
    return decisions.length > 0 ? { decisions } : undefined;
  }

  /** @returns false where that is nothing of the kind */
  restore(saved: unknown, instants: Instants, now: number): boolean {
    const { data } = savedDecisionsSchema.safeParse(saved);
    const latest = now + KEPT_MS;
    for (const { id, name, decision, until } of data?.decisions ?? [])
      this.#keep(id, { name, decision, until: Math.min(latest, instants.fromSaved(until, latest)) });
    return data !== undefined;
  }

  #keep(id: string, kept: Kept): void {
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    const [first] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT && first !== undefined) this.#kept.delete(first);
  }
}

const idOf = (endpoint: Unnamed): string =>
  digestOf(endpoint.instance === undefined ? descriptionOf(endpoint) : identityOf(endpoint));
