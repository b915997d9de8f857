/** A registry that does what a test says, and remembers what it was told. */
import type { HeartbeatAnswer, Registrar } from '../../src/agent/registrar.ts';
import type { AgentStatus } from '../../src/core/agent.ts';
import type { Lease } from '../../src/core/registry.ts';

export class ScriptedRegistrar implements Registrar {
  readonly name = 'scripted';
  /** `register up`, `heartbeat degraded`, `deregister`, in order. */
  readonly told: string[] = [];
  /** What it says: an answer, an error, or nothing at all. */
  mood: 'well' | 'forgetful' | 'away' | 'silent' = 'well';
  /** What it grants. */
  lease: Lease = { ttlMs: 30_000, heartbeatMs: 10_000 };
  disposed = false;
  #knows = false;

  async register(status: AgentStatus, signal: AbortSignal): Promise<Lease> {
    await this.#hear(`register ${status}`, signal);
    this.#knows = true;
    return this.lease;
  }

  async heartbeat(status: AgentStatus, signal: AbortSignal): Promise<HeartbeatAnswer> {
    await this.#hear(`heartbeat ${status}`, signal);
    return this.#knows ? this.lease : 'unknown';
  }

  async deregister(signal: AbortSignal): Promise<void> {
    await this.#hear('deregister', signal);
    this.#knows = false;
  }

  dispose(): void {
    this.disposed = true;
  }

  /** Its restart: nobody is known any more. */
  forget(): void {
    this.#knows = false;
  }

  async #hear(what: string, signal: AbortSignal): Promise<void> {
    this.told.push(what);
    if (this.mood === 'away') throw new Error('connection refused');
    if (this.mood === 'silent')
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(new Error('broken off'))),
      );
  }
}
