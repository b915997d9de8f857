/**
 * How the agent is, from its checks: starting → up ↔ degraded → down, and back. Pure: instants are passed in.
 *
 * The first failed check makes an agent that is up degraded, so that others turn away from it at once; `fall` in a row make it
 * down. `rise` in a row bring it back. While it starts, failed checks do not count, and the first good one is enough.
 */
import type { AgentStatus } from '../core/agent.ts';

/** What one check found. `degraded`: the agent answers, and says that it is not quite well. */
export type CheckResult = 'passed' | 'degraded' | 'failed';

export interface AgentRules {
  /** Good checks in a row that bring it back, at least 1. */
  readonly rise: number;
  /** Failed checks in a row that make it down, at least 1. */
  readonly fall: number;
}

/** What lives on when other rules come in force. */
export interface AgentMemory {
  readonly status: AgentStatus;
  readonly failures: number;
}

export class AgentState {
  readonly #rules: AgentRules;
  #status: AgentStatus;
  #graceUntilAt: number;
  #failures = 0;
  /** Checks in a row that did not fail. */
  #alive = 0;
  /** Checks in a row that passed. */
  #passed = 0;

  /** @param graceUntilAt until then failed checks do not count */
  constructor(rules: AgentRules, graceUntilAt: number, memory?: AgentMemory) {
    this.#rules = rules;
    this.#status = memory?.status ?? 'starting';
    this.#failures = memory?.failures ?? 0;
    this.#graceUntilAt = this.#status === 'starting' ? graceUntilAt : Number.NEGATIVE_INFINITY;
  }

  get status(): AgentStatus {
    return this.#status;
  }

  /** Failed checks since it was last well. An agent that flaps between `down` and one good check is not. */
  get failures(): number {
    return this.#failures;
  }

  /** A check has ended. */
  observe(result: CheckResult, now: number): void {
    if (this.#status === 'stopping') return;
    if (result === 'failed') this.#fail(now);
    else this.#answer(result);
  }

  /** It was started anew: it has time again, but what failed before is not forgotten until it is well. */
  restarted(graceUntilAt: number): void {
    if (this.#status === 'stopping') return;
    this.#status = 'starting';
    this.#graceUntilAt = graceUntilAt;
    this.#alive = this.#passed = 0;
  }

  /** The end: no check changes it any more. */
  stop(): void {
    this.#status = 'stopping';
  }

  #fail(now: number): void {
    this.#alive = this.#passed = 0;
    if (now < this.#graceUntilAt) return;
    this.#failures += 1;
    if (this.#failures >= this.#rules.fall) this.#status = 'down';
    else if (this.#status === 'up') this.#status = 'degraded';
  }

  #answer(result: Exclude<CheckResult, 'failed'>): void {
    this.#alive += 1;
    this.#passed = result === 'passed' ? this.#passed + 1 : 0;
    this.#graceUntilAt = Number.NEGATIVE_INFINITY;
    const { rise } = this.#rules;
    if (this.#status === 'down' && this.#alive < rise) return;
    this.#failures = 0;
    if (result === 'degraded') this.#status = 'degraded';
    else if (this.#status !== 'degraded' || this.#passed >= rise) this.#status = 'up';
  }
}
