/**
 * The policies of one or more upstreams in the order of the real pipeline, with endpoint selection and judgement between
 * them; only the wire is scripted, and the clock is the test's.
 */
import type { Ejections } from '../../src/core/ejections.ts';
import type { Attempt, Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { Next, Policy, PolicyDeps, Scope } from '../../src/core/policy.ts';
import { generic } from '../../src/dialects/generic.ts';
import { classifier } from '../../src/endpoints/classify.ts';
import { Roster } from '../../src/endpoints/roster.ts';
import { selectEndpoint } from '../../src/endpoints/select-endpoint.ts';
import { ATTEMPT_POLICIES, EXCHANGE_POLICIES, compose } from '../../src/pipeline.ts';
import type { AnyModule } from '../../src/pipeline.ts';
import type { CircuitBreaker } from '../../src/policies/circuit-breaker.ts';
import { seededRandom } from '../../src/core/random.ts';
import { endpointSetOf } from '../support/endpoint-sets.ts';
import { memoryStores } from '../../src/stores/memory/stores.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ControlledBody, EventLog, Script, cancelledOutcome } from '../support/policy-kit.ts';
import { exchangeAt, identity, respond } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';

/** Options by the keys of the configuration; what is not named is not in the pipeline. */
export type Policies = Readonly<Record<string, unknown>>;

export interface Upstream {
  readonly name: string;
  readonly send: Next<Exchange>;
  readonly wire: Script<Attempt>;
  readonly policies: ReadonlyMap<string, Policy<Scope>>;
}

export interface Call {
  readonly exchange: Exchange;
  readonly outcome: () => Outcome | undefined;
}

export class PipelineRig {
  readonly clock = new FakeClock();
  readonly stores = memoryStores(this.clock);
  readonly events = new EventLog();
  readonly upstreams = new Map<string, Upstream>();

  /** Adds an upstream with two endpoints whose wire does what the steps say, attempt by attempt. */
  upstream(name: string, policies: Policies, ...steps: readonly Step<Attempt>[]): Upstream {
    const wire = new Script<Attempt>(this.clock, ...steps);
    const roster = new Roster({ clock: this.clock, emit: this.events.emit, upstream: name });
    const deps = this.#deps(name, roster);
    const built = new Map<string, Policy<Scope>>();
    const attemptPolicies = build<Attempt>(ATTEMPT_POLICIES, policies, deps, built);
    const judge = classifier([], generic, () => this.clock.wallTime());
    const attemptsGo = compose(attemptPolicies, wire.next);
    const addresses = [`http://${name}-1.test`, `http://${name}-2.test`];
    const set = endpointSetOf(addresses, attemptsGo, this.clock, { roster });
    set.takeOver();
    const select = selectEndpoint(set, judge, { clock: this.clock, emit: deps.emit, upstream: name });
    const send = compose(build<Exchange>(EXCHANGE_POLICIES, policies, deps, built), select);
    const upstream = { name, send, wire, policies: built };
    this.upstreams.set(name, upstream);
    return upstream;
  }

  /** Sends an exchange to the upstream that was added first. */
  start(parts: ExchangeParts = {}): Call {
    const { exchange, first } = this.prepare(parts);
    let outcome: Outcome | undefined;
    void first.send(exchange, exchange.cancellation).then((settled) => (outcome = settled));
    return { exchange, outcome: () => outcome };
  }

  /** An exchange for the upstream that was added first. */
  prepare(parts: ExchangeParts = {}): { readonly exchange: Exchange; readonly first: Upstream } {
    const [first] = this.upstreams.values();
    if (!first) throw new Error('there is no upstream');
    const upstream = { name: first.name, ...parts.upstream };
    return { exchange: exchangeAt(this.clock, { ...parts, upstream }), first };
  }

  /** Attempts seen by every wire, as upstream and milliseconds since the rig was made. */
  get attempts(): string[] {
    return [...this.upstreams.values()]
      .flatMap(({ name, wire }) => wire.calls.map(({ at }) => ({ name, at })))
      .sort((a, b) => a.at - b.at)
      .map(({ name, at }) => `${name}@${at - 1_000}`);
  }

  breakerOf(name: string): CircuitBreaker {
    return this.upstreams.get(name)?.policies.get('circuit-breaker') as unknown as CircuitBreaker;
  }

  #deps(upstream: string, ejections: Ejections): PolicyDeps {
    return {
      clock: this.clock,
      random: seededRandom(3),
      emit: this.events.emit,
      upstream,
      owner: upstream,
      credentials: [],
      endpoints: [],
      ejections,
      sendTo: (name) => {
        const target = this.upstreams.get(name);
        return target && { identity: identity(name), send: target.send };
      },
      stores: () => this.stores,
    };
  }
}

function build<S extends Scope>(
  modules: readonly AnyModule<S>[],
  policies: Policies,
  deps: PolicyDeps,
  built: Map<string, Policy<Scope>>,
): Policy<S>[] {
  return modules.flatMap((module) => {
    if (!(module.key in policies)) return [];
    const options: unknown = module.schema.parse(policies[module.key]);
    const policy = module.build(options as never, deps as never, undefined as never);
    built.set(module.name, policy);
    return [policy];
  });
}

/** An upstream that takes the connection, or also the request, and says no more. */
export const stalls =
  (at: 'connecting' | 'waiting') =>
  (attempt: Attempt, cancellation: Attempt['cancellation']): Promise<Outcome> => {
    attempt.phase = at;
    return new Promise((resolve) => {
      cancellation.onCancel((reason) => {
        const failure = cancelledOutcome(reason);
        resolve({ ...failure, requestSent: at === 'connecting' ? 'no' : 'maybe' });
      });
    });
  };

/** An answer whose head comes at once and whose body is the test's business. */
export const answers =
  (status = 200, headers: readonly string[] = []) =>
  (attempt: Attempt): Outcome => {
    attempt.phase = 'receiving';
    const body = new ControlledBody();
    body.onEnd(() => (attempt.phase = 'ended'));
    return respond(status, { headers, body });
  };

export const STREAM = ['content-type', 'text/event-stream'] as const;
