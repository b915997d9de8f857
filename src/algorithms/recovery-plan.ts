/**
 * When which recovery action runs: each has its number of failed checks, a wait that doubles from run to run, and a limit per
 * hour. Pure: instants are passed in.
 */
import type { Random } from '../core/random.ts';

export interface RecoveryRule {
  /** Failed checks since the agent was last well, at least 1. */
  readonly after: number;
  /** Wait after the first run, in milliseconds; each further one is twice as long. */
  readonly initialMs: number;
  /** No wait is longer, but for its jitter. After as long a time without trouble it begins at `initialMs` again. */
  readonly maxMs: number;
  /** Runs within any hour, at least 1. */
  readonly maxPerHour: number;
}

export interface DueRules {
  /** Indices of the rules to follow now, in order. */
  readonly due: readonly number[];
  /** Those that would be due, but for their limit per hour; each is told once until it runs again. */
  readonly exhausted: readonly number[];
}

const HOUR_MS = 3_600_000;
/** Share by which a wait is lengthened at most: many sidecars of one outage must not act in step. */
const JITTER = 0.1;

interface Memory {
  /** Runs since the wait last began anew. */
  streak: number;
  /** Runs since the agent was last well. */
  attempts: number;
  notBeforeAt: number;
  /** Of the runs within an hour, oldest first; never more than the limit. */
  ranAt: number[];
  toldExhausted: boolean;
}

export class RecoveryPlan {
  readonly #rules: readonly RecoveryRule[];
  readonly #random: Random;
  readonly #memories: readonly Memory[];
  #wellSinceAt: number | undefined;

  constructor(rules: readonly RecoveryRule[], random: Random) {
    this.#rules = rules;
    this.#random = random;
    this.#memories = rules.map(() => ({
      streak: 0,
      attempts: 0,
      notBeforeAt: Number.NEGATIVE_INFINITY,
      ranAt: [],
      toldExhausted: false,
    }));
  }

  /** A check failed; `failures` since the agent was last well. */
  failed(failures: number, now: number): DueRules {
    this.#wellSinceAt = undefined;
    const due: number[] = [];
    const exhausted: number[] = [];
    this.#each((rule, memory, index) => {
      if (failures < rule.after || now < memory.notBeforeAt) return;
      if (runsInHour(memory, now) < rule.maxPerHour) due.push(index);
      else if (!memory.toldExhausted) exhausted.push(index);
      memory.toldExhausted ||= exhausted.includes(index);
    });
    return { due, exhausted };
  }

  /** Rule `index` is followed now. @returns which run of this outage it is, from 1 */
  ran(index: number, now: number): number {
    const [rule, memory] = [this.#rules[index], this.#memories[index]];
    if (!rule || !memory) throw new RangeError(`there is no rule ${index}`);
    runsInHour(memory, now);
    memory.ranAt.push(now);
    memory.attempts += 1;
    // 2 ** 1023 is the largest there is; the wait has long been at its limit.
    const wait = Math.min(rule.maxMs, rule.initialMs * 2 ** Math.min(memory.streak, 1_000));
    memory.streak += 1;
    memory.notBeforeAt = now + wait * (1 + this.#random.next() * JITTER);
    memory.toldExhausted = false;
    return memory.attempts;
  }

  /** The agent is well. An agent that comes back only to fail again goes on with the longer waits. */
  well(now: number): void {
    this.#wellSinceAt ??= now;
    const since = this.#wellSinceAt;
    this.#each((rule, memory) => {
      memory.attempts = 0;
      if (now - since < rule.maxMs) return;
      memory.streak = 0;
      memory.notBeforeAt = Number.NEGATIVE_INFINITY;
    });
  }

  /** What is known of rule `index`. */
  about(index: number, now: number): { readonly runsInHour: number; readonly waitMs: number } {
    const memory = this.#memories[index];
    if (!memory) throw new RangeError(`there is no rule ${index}`);
    return { runsInHour: runsInHour(memory, now), waitMs: Math.max(0, memory.notBeforeAt - now) };
  }

  #each(fn: (rule: RecoveryRule, memory: Memory, index: number) => void): void {
    for (const [index, rule] of this.#rules.entries()) {
      const memory = this.#memories[index];
      if (memory) fn(rule, memory, index);
    }
  }
}

function runsInHour(memory: Memory, now: number): number {
  while (memory.ranAt.length > 0 && now - (memory.ranAt[0] ?? now) >= HOUR_MS) memory.ranAt.shift();
  return memory.ranAt.length;
}
