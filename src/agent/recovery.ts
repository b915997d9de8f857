/**
 * Runs recovery actions when they are due, one after another and never one beside itself. What runs is told of when it has
 * ended, and in the case of an exit before, for nobody hears of it afterwards.
 */
import { RecoveryPlan } from '../algorithms/recovery-plan.ts';
import type { RecoveryRule } from '../algorithms/recovery-plan.ts';
import type { AgentIdentity, AgentStatus, RecoverySnapshot } from '../core/agent.ts';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** A recovery action ran, or was due more often than it may be (`exhausted`). */
    'agent-recovery': {
      readonly service: string;
      readonly id: string;
      /** `webhook`, `exit`, or `command` and its name. */
      readonly action: string;
      /** Which run since the agent was last well, from 1; 0 where it did not run. */
      readonly attempt: number;
      readonly failures: number;
      readonly result: 'succeeded' | 'failed' | 'exhausted';
      readonly message: string;
    };
  }
}

/** What happened to the agent, for whoever is to do something about it. */
export interface Incident {
  readonly agent: AgentIdentity;
  readonly status: AgentStatus;
  /** Failed checks since it was last well. */
  readonly failures: number;
  /** What the last check found. */
  readonly message: string;
  /** Which run of this action since the agent was last well, from 1. */
  readonly attempt: number;
}

export interface ActionResult {
  readonly ok: boolean;
  readonly message: string;
  /** The agent was started anew: it has time to start again. */
  readonly restarted?: boolean;
}

export interface RecoveryAction {
  readonly name: string;
  readonly rule: RecoveryRule;
  /** Never rejects, ends in bounded time and soon after `signal` is aborted. */
  run(incident: Incident, signal: AbortSignal): Promise<ActionResult>;
}

export interface RecoveryDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

export type Trouble = Omit<Incident, 'attempt'>;

export class Recovery {
  readonly #actions: readonly RecoveryAction[];
  readonly #deps: RecoveryDeps;
  readonly #plan: RecoveryPlan;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  /** Called when an action has started the agent anew. */
  onRestarted: () => void = () => undefined;

  constructor(actions: readonly RecoveryAction[], deps: RecoveryDeps) {
    this.#actions = actions;
    this.#deps = deps;
    this.#plan = new RecoveryPlan(
      actions.map(({ rule }) => rule),
      deps.random,
    );
  }

  get snapshot(): readonly RecoverySnapshot[] {
    const now = this.#deps.clock.now();
    return this.#actions.map(({ name, rule }, index) => ({
      action: name,
      after: rule.after,
      ...this.#plan.about(index, now),
    }));
  }

  /** A check failed. While an action runs nothing is begun: what is still due then is so at the next failed check. */
  failed(trouble: Trouble): void {
    if (this.#running || this.#abort.signal.aborted) return;
    const { due, exhausted } = this.#plan.failed(trouble.failures, this.#deps.clock.now());
    for (const index of exhausted) this.#tellExhausted(index, trouble);
    if (due.length === 0) return;
    this.#running = this.#runAll(due, trouble).finally(() => (this.#running = undefined));
  }

  well(): void {
    this.#plan.well(this.#deps.clock.now());
  }

  /** Breaks off what runs. */
  stop(): void {
    this.#abort.abort();
  }

  async #runAll(due: readonly number[], trouble: Trouble): Promise<void> {
    for (const index of due) {
      const action = this.#actions[index];
      if (!action || this.#abort.signal.aborted) return;
      const attempt = this.#plan.ran(index, this.#deps.clock.now());
      const result = await action.run({ ...trouble, attempt }, this.#abort.signal);
      this.#tell(trouble, {
        action: action.name,
        attempt,
        result: result.ok ? 'succeeded' : 'failed',
        message: result.message,
      });
      if (result.restarted === true) this.onRestarted();
    }
  }

  #tellExhausted(index: number, trouble: Trouble): void {
    const { name: action = '', rule } = this.#actions[index] ?? {};
    const message = `it ran ${rule?.maxPerHour ?? 0} times within an hour`;
    this.#tell(trouble, { action, attempt: 0, result: 'exhausted', message });
  }

  #tell(
    { agent: { service, id }, failures }: Trouble,
    what: { action: string; attempt: number; result: 'succeeded' | 'failed' | 'exhausted'; message: string },
  ): void {
    this.#deps.emit('agent-recovery', { service, id, failures, ...what });
  }
}
