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
import type { Lease } from '../core/registry.ts';
import { leaseOf } from './registrar.ts';
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
  /** Longest time from one sign of life to the next, in milliseconds. Undefined: what the registry asks for. */
  readonly heartbeatMs: number | undefined;
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
/** Bounds of what a registry may ask for: it must neither be overrun nor forgotten. */
const MIN_HEARTBEAT_MS = 250;
const MAX_HEARTBEAT_MS = 1_200_000;
/** Before any registry has said something. */
const FIRST_LEASE = leaseOf(30_000);

export class Presence {
  readonly #options: PresenceOptions;
  readonly #deps: PresenceDeps;
  readonly #abort = new AbortController();
  #lease: Lease = FIRST_LEASE;
  #retries: Delays;
  #registered = false;
  /** It may stand there. */
  #tried = false;
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
    this.#abort.abort();
    this.#clear();
    const bound = new AbortController();
    const timer = this.#deps.clock.setTimer(timeoutMs, () => bound.abort());
    try {
      await within(this.#round ?? Promise.resolve(), bound.signal, timeoutMs);
      // A registration that failed, or is broken off, may have arrived all the same.
      if (!this.#tried) return false;
      await within(registrar.deregister(bound.signal), bound.signal, timeoutMs);
      this.#registered = false;
      this.#deps.emit('agent-deregistered', {
        service: agent.service,
        id: agent.id,
        registry: this.registry,
      });
    } catch (error) {
      this.#tellFailure('deregister', error as Error);
      return this.#known;
    } finally {
      this.#deps.clock.clearTimer(timer);
      registrar.dispose();
    }
    return true;
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
    const { signal } = this.#abort;
    let step: 'register' | 'heartbeat' = 'heartbeat';
    try {
      const lease = this.#registered ? await this.#options.registrar.heartbeat(status, signal) : 'unknown';
      this.#registered = lease !== 'unknown';
      if (lease === 'unknown') {
        step = 'register';
        this.#tried = true;
        this.#lease = await this.#options.registrar.register(status, signal);
        this.#entered();
      } else {
        this.#lease = lease;
        this.#reachable();
      }
      this.#told = status;
    } catch (error) {
      if (signal.aborted) return;
      if (this.#error === undefined) this.#tellFailure(step, error as Error);
      this.#error = (error as Error).message;
    }
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
    return this.#heartbeatMs * (1 - this.#deps.random.next() * JITTER);
  }

  get #heartbeatMs(): number {
    const { ttlMs, heartbeatMs } = this.#lease;
    const asked = Math.min(heartbeatMs, ttlMs / 2, MAX_HEARTBEAT_MS);
    return Math.min(this.#options.heartbeatMs ?? Infinity, Math.max(MIN_HEARTBEAT_MS, asked));
  }

  /** Never longer than a heartbeat, which is what the registry has to bear anyway. */
  #newRetries(): Delays {
    const maxMs = this.#heartbeatMs;
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
