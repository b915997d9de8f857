/**
 * Looks after one agent: its checks make its state, its state goes to the registry, failed checks lead to recovery.
 */
import { AgentState } from '../algorithms/agent-state.ts';
import type { AgentMemory, AgentRules } from '../algorithms/agent-state.ts';
import type { AgentIdentity, AgentSnapshot, AgentStatus } from '../core/agent.ts';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import type { Probe, ProbeResult } from '../health/probes/probe.ts';
import { Checker } from './checker.ts';
import type { Recovery } from './recovery.ts';
import { Presence } from './presence.ts';
import type { Registrar } from './registrar.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** The agent is in another state. `message`: what the last check found. */
    'agent-changed': {
      readonly service: string;
      readonly id: string;
      readonly from: AgentStatus;
      readonly to: AgentStatus;
      readonly message: string;
    };
    /** A check has ended. */
    'agent-checked': {
      readonly result: 'passed' | 'degraded' | 'failed';
      readonly message: string;
      readonly durationMs: number;
    };
  }
}

export interface KeeperOptions {
  readonly agent: AgentIdentity;
  readonly probe: Probe;
  readonly rules: AgentRules;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startGraceMs: number;
  readonly recovery: Recovery;
  /** Undefined: it is registered nowhere. */
  readonly register:
    | { readonly registrar: Registrar; readonly heartbeatMs: number | undefined; readonly timeoutMs: number }
    | undefined;
  /** What an earlier keeper of the same agent knew. */
  readonly memory?: AgentMemory | undefined;
}

export interface KeeperDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

export class AgentKeeper {
  readonly #options: KeeperOptions;
  readonly #deps: KeeperDeps;
  readonly #state: AgentState;
  readonly #checker: Checker;
  readonly #presence: Presence | undefined;
  #last: AgentSnapshot['lastCheck'];

  constructor(options: KeeperOptions, deps: KeeperDeps) {
    const { agent, register, rules, probe, intervalMs, timeoutMs, memory } = options;
    this.#options = options;
    this.#deps = deps;
    this.#state = new AgentState(rules, deps.clock.now() + options.startGraceMs, memory);
    this.#checker = new Checker(
      { probe, intervalMs, timeoutMs, onResult: (result) => this.#onResult(result) },
      deps,
    );
    this.#presence = register && new Presence({ ...register, agent, status: () => this.#state.status }, deps);
    options.recovery.onRestarted = () => this.#onRestarted();
  }

  get memory(): AgentMemory {
    return { status: this.#state.status, failures: this.#state.failures };
  }

  get snapshot(): AgentSnapshot {
    const { agent, recovery } = this.#options;
    return {
      ...agent,
      ...this.memory,
      lastCheck: this.#last,
      registration: this.#presence?.snapshot,
      recovery: recovery.snapshot,
    };
  }

  /** @param after the end of an earlier keeper of the same agent */
  start(after?: Promise<unknown>): void {
    this.#presence?.start(after);
    this.#checker.start();
  }

  /** The end: the agent is taken out of its registry. Never rejects. @returns whether it stood there */
  async leave(): Promise<boolean> {
    this.#checker.stop();
    this.#options.recovery.stop();
    this.#move(() => this.#state.stop(), 'the sidecar lets go of it');
    return this.#presence?.leave() ?? false;
  }

  /** Another keeper goes on with the same agent elsewhere. Recovery is left to whoever owns it. */
  async moveOut(): Promise<void> {
    this.#checker.stop();
    await this.#presence?.leave();
  }

  /** Nothing more is begun; what stands in the registry stays, for another keeper or for its TTL. Never rejects. */
  async stop(): Promise<void> {
    this.#checker.stop();
    await this.#presence?.abandon();
  }

  #onResult({ ok, degraded = false, detail, durationMs }: ProbeResult): void {
    const result = ok ? (degraded ? 'degraded' : 'passed') : 'failed';
    this.#last = { result, message: detail, durationMs: Math.round(durationMs) };
    this.#deps.emit('agent-checked', { result, message: detail, durationMs });
    const before = this.#state.failures;
    this.#move(() => this.#state.observe(result, this.#deps.clock.now()), detail);
    const { status, failures } = this.#state;
    const { agent, recovery } = this.#options;
    if (failures === 0 && ok) recovery.well();
    // In its time to start a failed check does not count, and nothing is to be done about it.
    else if (failures > before) recovery.failed({ agent, status, failures, message: detail });
  }

  #onRestarted(): void {
    const { clock } = this.#deps;
    this.#move(() => this.#state.restarted(clock.now() + this.#options.startGraceMs), 'it was started anew');
  }

  #move(change: () => void, message: string): void {
    const from = this.#state.status;
    change();
    const to = this.#state.status;
    if (from === to) return;
    const { service, id } = this.#options.agent;
    this.#deps.emit('agent-changed', { service, id, from, to, message });
    this.#presence?.changed();
  }
}
