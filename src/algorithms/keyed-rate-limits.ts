/**
 * The rate limits of an upstream's credentials, by the identity of each: providers count per key. Without credentials of
 * its own there is one account for all; with several a call may go as soon as any of them has room.
 */
import { RateLimits } from './rate-limits.ts';
import type { Demand, LimitState, LimitsMemory, Sent, Turn } from './rate-limits.ts';

/** A call under way, and the credential on whose account it was let go. */
export interface Ticket {
  readonly limits: RateLimits;
  readonly sent: Sent;
}

/** Identity of the one account there is where no credentials were announced. */
const NOBODY = '';

export class KeyedRateLimits {
  readonly #byId = new Map([[NOBODY, new RateLimits()]]);

  /**
   * The account of a credential. Of one that was never announced, or is gone, nothing is to be kept: it gets an account
   * that is thrown away, for one that is never limited would let every call go.
   * @param id identity of an announced credential, never its value; undefined where the call carried none
   */
  of(id: string | undefined): RateLimits {
    return this.#byId.get(NOBODY) ?? this.#byId.get(id ?? NOBODY) ?? new RateLimits();
  }

  /**
   * These credentials there are, and no others; none: those of the clients share one account. One that was known keeps
   * what was learnt of it.
   */
  announce(ids: readonly string[]): void {
    const wanted = new Set(ids.length > 0 ? ids : [NOBODY]);
    for (const known of [...this.#byId.keys()]) if (!wanted.has(known)) this.#byId.delete(known);
    for (const id of wanted) if (!this.#byId.has(id)) this.#byId.set(id, new RateLimits());
  }

  /** What outlives the process, by the identity of the credential. */
  get memories(): readonly { readonly id: string; readonly memory: LimitsMemory }[] {
    return [...this.#byId].flatMap(([id, { memory }]) => (memory ? [{ id, memory }] : []));
  }

  /** What was known of a credential that is not there any more is of no use. */
  restore(id: string, memory: LimitsMemory, now: number): void {
    this.#byId.get(id)?.restore(memory, now);
  }

  /** Until when every credential is to be left alone. */
  get pausedUntil(): number {
    return Math.min(...this.#inUse.map(({ pausedUntil }) => pausedUntil));
  }

  get countsTokens(): boolean {
    return [...this.#byId.values()].some(({ countsTokens }) => countsTokens);
  }

  /** When a call may go, on whichever credential. */
  turnOf(demand: Demand, now: number): Turn {
    return this.#soonest(demand, now).turn;
  }

  begin(demand: Demand, now: number): Ticket {
    const { limits } = this.#soonest(demand, now);
    return { limits, sent: limits.begin(demand, now) };
  }

  isSilent(now: number): boolean {
    return this.#inUse.every((limits) => limits.isSilent(now));
  }

  /** Of the first credential that has something left of everything; of the first where none has. */
  states(now: number): LimitState[] {
    const all = this.#inUse.map((limits) => limits.states(now));
    return all.find((states) => states.every(({ remaining }) => remaining > 0)) ?? all[0] ?? [];
  }

  /** A credential that is not accepted gives no room, unless none is: then their own answers say more than a wait. */
  get #inUse(): readonly RateLimits[] {
    const all = [...this.#byId.values()];
    const accepted = all.filter(({ isAccepted }) => isAccepted);
    return accepted.length > 0 ? accepted : all;
  }

  #soonest(demand: Demand, now: number): { readonly limits: RateLimits; readonly turn: Turn } {
    const all = this.#inUse.map((limits) => ({ limits, turn: limits.turnOf(demand, now) }));
    return all.reduce((best, one) => (one.turn.at < best.turn.at ? one : best));
  }
}
