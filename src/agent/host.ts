/** Keeps the agent that the configuration names, and follows its changes. One that is not concerned by them is left alone. */
import type { AgentMemory } from '../algorithms/agent-state.ts';
import type { AgentSnapshot } from '../core/agent.ts';
import { Cancellation } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import type { InstanceRegistrar } from '../core/registry.ts';
import { identityOf } from '../schema/agent.ts';
import type { AgentOptions } from '../schema/agent.ts';
import type { AgentRegisterOptions } from '../schema/agent-register.ts';
import { HttpClient } from '../transport/http-client.ts';
import { AgentKeeper } from './keeper.ts';
import { makeProbe } from './make-probe.ts';
import { makeRegistrar } from './make-registrar.ts';
import { Recovery } from './recovery.ts';
import { recoveryActions } from './recovery-actions.ts';

export interface AgentHostDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Ends the sidecar in good order, with this exit code. */
  readonly exit: (code: number) => void;
  /** The registry of this sidecar. */
  readonly registry: InstanceRegistrar;
}

interface Kept {
  readonly options: AgentOptions;
  readonly keeper: AgentKeeper;
  readonly recovery: Recovery;
}

export class AgentHost {
  readonly #deps: AgentHostDeps;
  /** For checks and webhooks; registries have clients of their own, with their TLS. */
  readonly #http: HttpClient;
  /** Of those kept before, what is still under way. */
  readonly #leaving = new Set<Promise<unknown>>();
  #kept: Kept | undefined;
  #draining = false;

  constructor(deps: AgentHostDeps) {
    this.#deps = deps;
    this.#http = new HttpClient(deps);
  }

  /** Undefined where there is no agent to look after. */
  get snapshot(): AgentSnapshot | undefined {
    return this.#kept?.keeper.snapshot;
  }

  configure(options: AgentOptions | undefined): void {
    const before = this.#kept;
    if (this.#draining || isSame(before?.options, options)) return;
    if (before && options && isSameAgent(before.options, options)) this.#kept = this.#follow(before, options);
    else {
      if (before) this.#wait(before.keeper.leave());
      this.#kept = options && this.#keep(options, this.#recoveryOf(options));
    }
    // Whoever stood in the same place before must have had its last word.
    this.#kept?.keeper.start(Promise.all(this.#leaving));
  }

  /** The agent is taken out of its registry; then whoever asks there has `drainDelay` to notice. Never rejects. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (!this.#kept) return;
    const stood = await this.#kept.keeper.leave();
    if (stood) await sleep(this.#deps.clock, this.#kept.options.drainDelay, new Cancellation());
  }

  /** Ends everything at once; the registry hears of it only where `drain` came before. */
  async close(): Promise<void> {
    this.#draining = true;
    void this.#kept?.keeper.stop();
    this.#kept?.recovery.stop();
    await Promise.all(this.#leaving);
    this.#http.dispose();
  }

  /** The same agent, of which other things are said: its state goes on, and what is not concerned. */
  #follow({ options: old, keeper, recovery }: Kept, options: AgentOptions): Kept {
    const recovers = isSameRecovery(old, options);
    if (!recovers) recovery.stop();
    this.#wait(isSamePlace(old, options) ? keeper.stop() : keeper.moveOut());
    return this.#keep(options, recovers ? recovery : this.#recoveryOf(options), keeper.memory);
  }

  #keep(options: AgentOptions, recovery: Recovery, memory?: AgentMemory): Kept {
    const { check, register } = options;
    const agent = identityOf(options);
    const keeper = new AgentKeeper(
      {
        ...{ agent, recovery, memory, rules: check },
        probe: makeProbe(options, { clock: this.#deps.clock, http: this.#http }),
        intervalMs: check.interval,
        timeoutMs: check.timeout,
        startGraceMs: check.startGrace,
        register: register && {
          registrar: makeRegistrar(register, agent, this.#deps),
          heartbeatMs: register.heartbeat,
          timeoutMs: register.timeout,
        },
      },
      this.#deps,
    );
    return { options, keeper, recovery };
  }

  #recoveryOf(options: AgentOptions): Recovery {
    return new Recovery(recoveryActions(options, { ...this.#deps, http: this.#http }), this.#deps);
  }

  #wait(leaving: Promise<unknown>): void {
    const left = leaving.finally(() => this.#leaving.delete(left));
    this.#leaving.add(left);
  }
}

/** Files are told by their digests, secrets are compared and never shown. */
const textOf = (...values: readonly unknown[]): string => JSON.stringify(values);

const isSame = (a: AgentOptions | undefined, b: AgentOptions | undefined): boolean => textOf(a) === textOf(b);

/** What is known of it holds on: it is the same instance, whatever is said of it. */
function isSameAgent(a: AgentOptions, b: AgentOptions): boolean {
  const [one, other] = [identityOf(a), identityOf(b)];
  return one.service === other.service && one.id === other.id;
}

const isSameRecovery = (a: AgentOptions, b: AgentOptions): boolean =>
  textOf(a.recovery, a.commands, a.env) === textOf(b.recovery, b.commands, b.env);

/** The next keeper writes where the one before did. */
const isSamePlace = ({ register: a }: AgentOptions, { register: b }: AgentOptions): boolean =>
  placeOf(a) === placeOf(b);

function placeOf(register: AgentRegisterOptions | undefined): string {
  const { embedded, registry, consul, etcd } = register ?? {};
  const { url, namespace, partition } = consul ?? {};
  return textOf(embedded, registry?.url, url, namespace, partition, etcd?.urls, etcd?.prefix);
}
