/**
 * A queue in which the more important go first, and among equals those go first who have least already. One heap cannot
 * hold that: whose turn it is depends on who holds what at that moment. Nobody waits for ever: what waits ages.
 */

/** Who waits; only the queue that gave it out can use it. */
export interface Seat<T> {
  readonly value: T;
  /** Whose it is: among seats of one rank, those of different flows take turns. */
  readonly flow: string;
  /** The higher, the sooner. */
  readonly rank: number;
  /** When it joined. */
  readonly since: number;
}

/**
 * How ranks share the turns. `strict`: the higher goes first, until the lower has waited long enough to outweigh it.
 * `weighted`: each rank has twice the turns of the one below.
 */
export type RankOrder = 'strict' | 'weighted';

export interface FairQueueOptions {
  readonly order: RankOrder;
  /** Waiting that outweighs one rank where the order is strict, in milliseconds > 0. */
  readonly msPerRank: number;
}

/** Those of one rank. */
class Level<T> {
  readonly rank: number;
  /** Seats by flow, in the order in which they joined; the flow that had its turn last is the last. */
  readonly flows = new Map<string, Set<Seat<T>>>();
  size = 0;
  /** Turns this rank has had, weighted. */
  turns: number;

  constructor(rank: number, turns: number) {
    this.rank = rank;
    this.turns = turns;
  }

  add(seat: Seat<T>): void {
    this.size += 1;
    const own = this.flows.get(seat.flow);
    if (own) own.add(seat);
    else this.flows.set(seat.flow, new Set([seat]));
  }

  delete(seat: Seat<T>): boolean {
    const own = this.flows.get(seat.flow);
    if (!own?.delete(seat)) return false;
    if (own.size === 0) this.flows.delete(seat.flow);
    this.size -= 1;
    return true;
  }

  /** The flow that holds least; among equals the one whose turn was longest ago. Looks at no more flows than hold something. */
  poorest(heldBy: (flow: string) => number): Seat<T> | undefined {
    let [poorest, least] = [undefined as Set<Seat<T>> | undefined, Number.POSITIVE_INFINITY];
    for (const [flow, seats] of this.flows) {
      const held = heldBy(flow);
      if (held >= least) continue;
      [poorest, least] = [seats, held];
      if (held === 0) break;
    }
    return poorest && first(poorest);
  }

  /** Seats of the flow that has most. */
  longest(): ReadonlySet<Seat<T>> {
    let longest: ReadonlySet<Seat<T>> = new Set();
    for (const seats of this.flows.values()) if (seats.size > longest.size) longest = seats;
    return longest;
  }

  /** The flow has had its turn. */
  rotate(flow: string): void {
    const seats = this.flows.get(flow);
    if (!seats) return;
    this.flows.delete(flow);
    this.flows.set(flow, seats);
  }

  /** Of those who wait, so many go before one more of that flow, if all flows hold the same. */
  before(flow: string): number {
    const own = this.flows.get(flow)?.size ?? 0;
    let [before, isPast] = [own, false];
    for (const [name, { size }] of this.flows) {
      if (name === flow) isPast = true;
      // Those whose turn comes after its own have had one less.
      else before += Math.min(size, isPast ? own : own + 1);
    }
    return before;
  }
}

/** Who would go next of one rank. */
interface Turn<T> {
  readonly level: Level<T>;
  readonly seat: Seat<T>;
  /** The smaller, the sooner. */
  readonly claim: number;
}

interface Newcomer {
  readonly flow: string;
  readonly rank: number;
}

export class FairQueue<T> {
  #options: FairQueueOptions;
  /** Ranks that are or were in use since the queue was last empty. */
  readonly #levels = new Map<number, Level<T>>();
  #size = 0;
  /** Turns of the rank that had the last one. */
  #turns = 0;

  constructor(options: FairQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  /** Holds for those who wait already, too. */
  reconfigure(options: FairQueueOptions): void {
    this.#options = options;
  }

  push(value: T, { flow, rank, since }: Omit<Seat<T>, 'value'>): Seat<T> {
    const seat: Seat<T> = { value, flow, rank, since };
    let level = this.#levels.get(rank);
    if (!level) this.#levels.set(rank, (level = new Level(rank, this.#turns)));
    // Turns that were not wanted are not owed.
    if (level.size === 0) level.turns = Math.max(level.turns, this.#turns);
    level.add(seat);
    this.#size += 1;
    return seat;
  }

  /** Gives a seat up. @returns false when it was given up or served before */
  remove(seat: Seat<T>): boolean {
    const removed = this.#levels.get(seat.rank)?.delete(seat) ?? false;
    if (removed) this.#size -= 1;
    if (this.#size === 0) this.#forget();
    return removed;
  }

  /**
   * Takes out whose turn it is; undefined when nobody waits.
   * @param heldBy how much a flow has at present of what is waited for
   */
  shift(heldBy: (flow: string) => number): Seat<T> | undefined {
    const turn = this.#nextTurn(heldBy);
    if (!turn) return undefined;
    const { level, seat } = turn;
    this.#turns = level.turns;
    level.turns += 2 ** -level.rank;
    level.rotate(seat.flow);
    this.remove(seat);
    return seat;
  }

  /**
   * Who should make room for a newcomer where there is none: the last of the flow that has most seats, in the lowest
   * rank. Undefined where the newcomer is that itself: of no higher rank, and of a flow that would have as many.
   */
  victimOf({ flow, rank }: Newcomer): Seat<T> | undefined {
    const lowest = this.#lowestLevel();
    if (!lowest || lowest.rank > rank) return undefined;
    const longest = lowest.longest();
    const own = lowest.flows.get(flow)?.size ?? 0;
    if (lowest.rank === rank && longest.size <= own + 1) return undefined;
    return [...longest].at(-1);
  }

  /** About how many of those who wait go before one who joins now. */
  ahead({ flow, rank }: Newcomer): number {
    const inRank = this.#levels.get(rank)?.before(flow) ?? 0;
    let ahead = inRank;
    for (const { rank: other, size } of this.#levels.values())
      if (other !== rank) ahead += Math.min(size, this.#turnsBefore(inRank + 1, other - rank));
    return ahead;
  }

  /** Turns that a rank has until another has had `own`. @param above how far it is above the other */
  #turnsBefore(own: number, above: number): number {
    if (this.#options.order === 'weighted') return Math.round(own * 2 ** above);
    return above > 0 ? Number.POSITIVE_INFINITY : 0;
  }

  #lowestLevel(): Level<T> | undefined {
    let lowest: Level<T> | undefined;
    for (const level of this.#levels.values())
      if (level.size > 0 && (!lowest || level.rank < lowest.rank)) lowest = level;
    return lowest;
  }

  /** Ranks compete by whom each would send: age that belongs to one who would not go helps nobody else. */
  #nextTurn(heldBy: (flow: string) => number): Turn<T> | undefined {
    let next: Turn<T> | undefined;
    for (const level of this.#levels.values()) {
      const seat = level.poorest(heldBy);
      if (!seat) continue;
      const claim = this.#claimOf(level, seat);
      const isBefore = !next || claim < next.claim || (claim === next.claim && level.rank > next.level.rank);
      if (isBefore) next = { level, seat, claim };
    }
    return next;
  }

  #claimOf({ turns, rank }: Level<T>, { since }: Seat<T>): number {
    return this.#options.order === 'weighted' ? turns : since - rank * this.#options.msPerRank;
  }

  #forget(): void {
    this.#levels.clear();
    this.#turns = 0;
  }
}

const first = <T>(set: ReadonlySet<T>): T | undefined => set.values().next().value;
