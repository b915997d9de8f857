/**
 * Where calls wait for room in buckets: by rank, then by age, and never behind a call that waits for another bucket. Only
 * those whose turn it is ask the store.
 */
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Charge, Decision, Level, LimitStore } from '../core/limit-store.ts';
import { PriorityQueue } from './priority-queue.ts';
import type { Place } from './priority-queue.ts';

export interface LimitLineOptions {
  /** Most calls that wait at a time. */
  readonly maxQueue: number;
  /** Longest wait of a call, in milliseconds; 0: none waits. */
  readonly maxWaitMs: number;
  /** Head start that one rank is worth, in milliseconds. */
  readonly msPerRank: number;
}

export interface LimitedCall {
  /** At least one; of one bucket at most one. */
  readonly charges: readonly Charge[];
  readonly rank: number;
  /** Monotonic instant after which it need not go any more. */
  readonly deadlineAt: number;
  readonly cancellation: Cancellation;
}

/** Why a call may not go. */
export type LimitRefusal =
  /** A bucket has too little, and nobody waits here. */
  | 'used-up'
  /** There will be no room within the longest wait, or before the call's deadline. */
  | 'too-late'
  /** As many as may wait do so. */
  | 'queue-full'
  /** It has waited as long as it may. */
  | 'waited';

export type LimitAdmission = { /** Set when it stood in line. */ readonly waited?: Waited } & (
  | { readonly kind: 'go'; readonly decision: Decision }
  | { readonly kind: 'refused'; readonly why: LimitRefusal; readonly shortage: Shortage }
  | { readonly kind: 'left' }
);

export interface Shortage {
  /** Of each charge. What is left of a bucket that was not asked, for others wait for it, is 0. */
  readonly levels: readonly Level[];
  /** Index of the charge that has to wait longest. */
  readonly worst: number;
  /** How long, in milliseconds. */
  readonly waitMs: number;
}

export interface Waited {
  readonly ms: number;
  /** How the buckets stood when it began to wait. */
  readonly shortage: Shortage;
}

interface Waiter extends LimitedCall {
  readonly settle: (admission: LimitAdmission) => void;
}

type Line = PriorityQueue<Waiter>;

/** Others may give back to a bucket that is shared, and nobody tells. */
const LOOK_AGAIN_MS = 1_000;

export class LimitLine {
  readonly #clock: Clock;
  #store: LimitStore;
  #options: LimitLineOptions;
  /** Those who take from the same buckets stand in one line. */
  readonly #lines = new Map<string, Line>();
  readonly #waiting = new Set<Waiter>();
  /** Buckets that somebody waits for, by their keys: when there will be room for whoever is first. */
  #dueAt = new Map<string, number>();
  #timer: TimerHandle | undefined;
  #reviewing = false;
  #reviewAgain = false;

  constructor(store: LimitStore, options: LimitLineOptions, clock: Clock) {
    this.#store = store;
    this.#options = options;
    this.#clock = clock;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** Those who wait already keep their places and the longest wait that they came with. */
  reconfigure(store: LimitStore, options: LimitLineOptions): void {
    this.#store = store;
    this.#options = options;
    for (const line of this.#lines.values()) line.msPerRank = options.msPerRank;
  }

  /** Not a promise where the store decides at once and nobody has to wait. Never rejects. */
  enter(call: LimitedCall): LimitAdmission | Promise<LimitAdmission> {
    if (call.cancellation.cancelled) return { kind: 'left' };
    if (call.charges.some(({ key }) => this.#dueAt.has(key)))
      return this.#waitOrRefuse(call, this.#expected(call));
    const decision = this.#store.take(call.charges);
    return decision instanceof Promise
      ? decision.then((decided) => this.#act(call, decided))
      : this.#act(call, decision);
  }

  /** Something was given back: perhaps there is room now. */
  review(): void {
    if (this.#reviewing) this.#reviewAgain = true;
    else if (this.#waiting.size > 0) void this.#review();
  }

  #act(call: LimitedCall, decision: Decision): LimitAdmission | Promise<LimitAdmission> {
    if (call.cancellation.cancelled) {
      if (decision.admitted) this.#giveBack(call, decision);
      return { kind: 'left' };
    }
    return decision.admitted ? { kind: 'go', decision } : this.#waitOrRefuse(call, decision.levels);
  }

  #waitOrRefuse(call: LimitedCall, levels: readonly Level[]): LimitAdmission | Promise<LimitAdmission> {
    const now = this.#clock.now();
    const shortage = shortageIn(levels);
    const refused = (why: LimitRefusal): LimitAdmission => ({ kind: 'refused', why, shortage });
    const { maxWaitMs, maxQueue } = this.#options;
    if (maxWaitMs === 0) return refused('used-up');
    if (now + shortage.waitMs > Math.min(now + maxWaitMs, call.deadlineAt)) return refused('too-late');
    if (this.#waiting.size >= maxQueue) return refused('queue-full');
    const admission = this.#join(call, shortage);
    for (const [key, at] of dues(call, levels, now)) if (!this.#dueAt.has(key)) this.#dueAt.set(key, at);
    if (!this.#reviewing) this.#setTimer();
    return admission;
  }

  #join(call: LimitedCall, shortage: Shortage): Promise<LimitAdmission> {
    const since = this.#clock.now();
    const key = call.charges.map((charge) => charge.key).join('\n');
    const line = this.#lines.get(key) ?? new PriorityQueue<Waiter>(this.#options.msPerRank);
    this.#lines.set(key, line);
    return new Promise((resolve) => {
      const settle = (admission: LimitAdmission): void => {
        this.#clock.clearTimer(timer);
        call.cancellation.off(onCancel);
        this.#waiting.delete(waiter);
        line.remove(place);
        if (line.size === 0) this.#lines.delete(key);
        resolve({ ...admission, waited: { ms: this.#clock.now() - since, shortage } });
      };
      const leave = (admission: LimitAdmission): void => {
        settle(admission);
        this.#afterLeaving();
      };
      const onCancel = (): void => leave({ kind: 'left' });
      const timer = this.#clock.setTimer(this.#options.maxWaitMs, () => {
        // Its turn may come at this very instant.
        this.review();
        if (!this.#waiting.has(waiter)) return;
        leave({ kind: 'refused', why: 'waited', shortage: shortageIn(this.#expected(waiter)) });
      });
      const waiter: Waiter = { ...call, settle };
      const place: Place<Waiter> = line.push(waiter, call.rank, since);
      this.#waiting.add(waiter);
      call.cancellation.onCancel(onCancel);
    });
  }

  /** Whoever stood behind it may need less. */
  #afterLeaving(): void {
    if (this.#waiting.size > 0) this.review();
    else if (!this.#reviewing) this.#setTimer();
  }

  /** Lets go whoever may, first those who are first; comes back when the next may be. */
  async #review(): Promise<void> {
    this.#reviewing = true;
    let dueAt: Map<string, number>;
    do {
      this.#reviewAgain = false;
      dueAt = new Map();
      for (let waiter = this.#next(dueAt); waiter; waiter = this.#next(dueAt)) {
        const asked = this.#store.take(waiter.charges);
        const decision = asked instanceof Promise ? await asked : asked;
        if (decision.admitted) this.#letGo(waiter, decision);
        else for (const [key, at] of dues(waiter, decision.levels, this.#clock.now())) dueAt.set(key, at);
      }
    } while (this.#reviewAgain);
    this.#dueAt = dueAt;
    this.#reviewing = false;
    this.#setTimer();
  }

  #letGo(waiter: Waiter, decision: Decision): void {
    // While the store was asked, it may have left.
    if (this.#waiting.has(waiter)) waiter.settle({ kind: 'go', decision });
    else this.#giveBack(waiter, decision);
  }

  /** Of those who are first in their lines and whose buckets were not found empty, whose turn it is. */
  #next(empty: ReadonlyMap<string, number>): Waiter | undefined {
    const firsts = [...this.#lines.values()].flatMap((line) => {
      const place = line.peek();
      return place && !place.value.charges.some(({ key }) => empty.has(key)) ? [place] : [];
    });
    const { msPerRank } = this.#options;
    const standing = ({ since, rank }: Place<Waiter>): number => since - rank * msPerRank;
    return firsts.sort((a, b) => standing(a) - standing(b))[0]?.value;
  }

  #setTimer(): void {
    if (this.#timer) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.size === 0) return this.#dueAt.clear();
    const inMs = Math.min(...this.#dueAt.values()) - this.#clock.now();
    this.#timer = this.#clock.setTimer(Math.min(LOOK_AGAIN_MS, Math.max(1, inMs)), () => this.review());
  }

  /** How the buckets stand for a call behind those of no lower rank who wait for them. */
  #expected(call: LimitedCall): Level[] {
    const now = this.#clock.now();
    const ahead = [...this.#waiting].filter((one) => one !== call && one.rank >= call.rank);
    return call.charges.map(({ key, size }) => {
      const dueAt = this.#dueAt.get(key);
      if (dueAt === undefined) return { remaining: size.burst, waitMs: 0 };
      const costs = ahead.flatMap(({ charges }) => charges.filter((one) => one.key === key));
      const cost = costs.reduce((sum, one) => sum + one.cost, 0);
      return { remaining: 0, waitMs: Math.max(0, dueAt - now) + (cost * 1_000) / size.ratePerSecond };
    });
  }

  #giveBack({ charges }: LimitedCall, { by }: Decision): void {
    this.#store.adjust(
      charges.map((charge) => ({ ...charge, cost: -charge.cost })),
      by,
    );
  }
}

function shortageIn(levels: readonly Level[]): Shortage {
  const waits = levels.map(({ waitMs }) => waitMs);
  const waitMs = Math.max(...waits);
  return { levels, worst: waits.indexOf(waitMs), waitMs };
}

/** When the buckets that have too little for a call will have enough; at least one of them. */
function dues({ charges }: LimitedCall, levels: readonly Level[], now: number): [key: string, at: number][] {
  const dues = charges.map(({ key }, index): [string, number] => [key, now + (levels[index]?.waitMs ?? 0)]);
  const short = dues.filter(([, at]) => at > now);
  return short.length > 0 ? short : dues;
}
