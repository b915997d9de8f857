/**
 * Keeps the agent in a registry: registers it, gives signs of life, registers it anew where the registry has forgotten it. A
 * registry that cannot be reached is asked again after growing waits, and told of once.
 */
import type { AgentIdentity, AgentStatus } from '../core/agent.ts';
import { delays } from '../algorithms/backoff.ts';
import type { Delays } from '../algorithms/backoff.ts';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import type { Registrar } from './registrar.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** The agent stands in a registry. `forgotten`: it did before; `reachable`: the registry is back and still knew it. */
    'agent-registered': {
      readonly service: string;
      readonly id: string;
      readonly registry: string;
      readonly why: 'new' | 'forgotten' | 'reachable';
    };
    /** The registry cannot be told; once an outage, and of the end. */
    'agent-registration-failed': {
      readonly service: string;
      readonly id: string;
      readonly registry: string;
      readonly step: 'register' | 'heartbeat' | 'deregister';
      readonly message: string;
    };
    /** The agent was taken out of its registry. */
    'agent-deregistered': { readonly service: string; readonly id: string; readonly registry: string };
  }
}

export interface PresenceOptions {
  readonly registrar: Registrar;
  readonly agent: AgentIdentity;
  /** Longest time from one sign of life to the next, in milliseconds. */
  readonly heartbeatMs: number;
  /** Longest time for the deregistration, in milliseconds. */
  readonly timeoutMs: number;
  readonly status: () => AgentStatus;
}

export interface PresenceDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

/** Share by which a heartbeat comes early at most. */
const JITTER = 0.2;
const FIRST_RETRY_MS = 500;

export class Presence {
  readonly #options: PresenceOptions;
  readonly #deps: PresenceDeps;
  readonly #abort = new AbortController();
  #retries: Delays;
  #registered = false;
  /** It stood there once: the next registration is one anew. */
  #known = false;
  #error: string | undefined;
  #timer: TimerHandle | undefined;
  #round: Promise<void> | undefined;
  /** What must have ended before has ended. */
  #begun = false;
  /** The status that the registry was told last. */
  #told: AgentStatus | undefined;

  constructor(options: PresenceOptions, deps: PresenceDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#retries = this.#newRetries();
  }

  get registry(): string {
    return this.#options.registrar.name;
  }

  get snapshot(): {
    readonly registry: string;
    readonly registered: boolean;
    readonly error: string | undefined;
  } {
    return { registry: this.registry, registered: this.#registered, error: this.#error };
  }

  /** @param after what must have ended before: an earlier presence's last word must not come after the first of this one */
  start(after: Promise<unknown> = Promise.resolve()): void {
    void after.then(() => {
      if (this.#abort.signal.aborted) return;
      this.#begun = true;
      this.#wake();
    });
  }

  /** The agent's status changed: the registry is told at once, unless it is away; then with the next try. */
  changed(): void {
    if (this.#begun && this.#error === undefined && this.#told !== this.#options.status()) this.#wake();
  }

  /**
   * Says no more; what stands in the registry is left to whoever comes after.
   * @returns when nothing of it is under way any more. Never rejects.
   */
  async abandon(): Promise<void> {
    this.#abort.abort();
    this.#clear();
    await this.#round;
    this.#options.registrar.dispose();
  }

  /** Takes the agent out, within `timeoutMs`. Never rejects. @returns whether it may have stood there */
  async leave(): Promise<boolean> {
    const { registrar, timeoutMs, agent } = this.#options;
    // A registration that is broken off may have arrived all the same.
    const mayStand = this.#known || this.#round !== undefined;
    this.#abort.abort();
    this.#clear();
    const bound = new AbortController();
    const timer = this.#deps.clock.setTimer(timeoutMs, () => bound.abort());
    try {
      await within(this.#round ?? Promise.resolve(), bound.signal, timeoutMs);
      if (!mayStand) return false;
      await within(registrar.deregister(bound.signal), bound.signal, timeoutMs);
      this.#registered = false;
      this.#deps.emit('agent-deregistered', {
        service: agent.service,
        id: agent.id,
        registry: this.registry,
      });
    } catch (error) {
      this.#tellFailure('deregister', error as Error);
    } finally {
      this.#deps.clock.clearTimer(timer);
      registrar.dispose();
    }
    return mayStand;
  }

  #wake(): void {
    this.#clear();
    // The round under way looks at the status when it ends.
    this.#round ??= this.#run().finally(() => {
      this.#round = undefined;
      this.#schedule();
    });
  }

  async #run(): Promise<void> {
    const status = this.#options.status();
    let step: 'register' | 'heartbeat' = 'heartbeat';
    try {
      if (this.#registered) this.#registered = (await this.#beat(status)) === 'known';
      if (this.#registered) this.#reachable();
      else {
        step = 'register';
        await this.#options.registrar.register(status, this.#abort.signal);
        this.#entered();
      }
      this.#told = status;
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      if (this.#error === undefined) this.#tellFailure(step, error as Error);
      this.#error = (error as Error).message;
    }
  }

  #beat(status: AgentStatus): Promise<'known' | 'unknown'> {
    return this.#options.registrar.heartbeat(status, this.#abort.signal);
  }

  #entered(): void {
    const why = this.#known ? 'forgotten' : 'new';
    this.#registered = this.#known = true;
    this.#well();
    this.#tellRegistered(why);
  }

  #reachable(): void {
    if (this.#error === undefined) return;
    this.#well();
    this.#tellRegistered('reachable');
  }

  #well(): void {
    this.#error = undefined;
    this.#retries = this.#newRetries();
  }

  #schedule(): void {
    if (this.#abort.signal.aborted) return;
    const { clock } = this.#deps;
    this.#timer = clock.setBackgroundTimer(this.#nextInMs(), () => this.#wake());
  }

  #nextInMs(): number {
    if (this.#error !== undefined) return this.#retries();
    // It changed while the registry was being told.
    if (this.#told !== this.#options.status()) return 0;
    return this.#options.heartbeatMs * (1 - this.#deps.random.next() * JITTER);
  }

  /** Never longer than a heartbeat, which is what the registry has to bear anyway. */
  #newRetries(): Delays {
    const { heartbeatMs: maxMs } = this.#options;
    const initialMs = Math.min(FIRST_RETRY_MS, maxMs);
    const growth = { kind: 'exponential', initialMs, maxMs, multiplier: 2 } as const;
    return delays({ ...growth, jitter: 'equal', jitterRatio: 0 }, this.#deps.random);
  }

  #clear(): void {
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #tellRegistered(why: 'new' | 'forgotten' | 'reachable'): void {
    const { service, id } = this.#options.agent;
    this.#deps.emit('agent-registered', { service, id, registry: this.registry, why });
  }

  #tellFailure(step: 'register' | 'heartbeat' | 'deregister', { message }: Error): void {
    const { service, id } = this.#options.agent;
    const about = { service, id, registry: this.registry };
    this.#deps.emit('agent-registration-failed', { ...about, step, message });
  }
}

/** Also a registrar that does not heed its signal is waited for no longer. */
function within(work: Promise<void>, signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new Error(`not done within ${ms} ms`));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject);
  });
}
