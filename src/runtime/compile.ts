/** From configuration to live objects: the one code path for start and reload. */
import { Broadcast } from '../broadcast/broadcast.ts';
import type { Config, UpstreamConfig } from '../config/schema.ts';
import { keysOf } from '../schema/credentials.ts';
import type { Clock } from '../core/clock.ts';
import { CREDENTIAL_HEADERS } from '../core/credential-headers.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { EndpointSource } from '../core/endpoint-source.ts';
import type { Emit } from '../core/events.ts';
import type { Attempt, Exchange } from '../core/exchange.ts';
import { ModelCatalog } from '../core/model-catalog.ts';
import type { Outcome } from '../core/outcome.ts';
import type { CredentialIdentity, Next, Policy, PolicyDeps, Recipient, Scope } from '../core/policy.ts';
import type { Random } from '../core/random.ts';
import type { InstanceDirectory } from '../core/registry.ts';
import type { Stores } from '../core/stores.ts';
import type { Dialect } from '../core/dialect.ts';
import { dialectOf } from '../dialects/index.ts';
import { classifier } from '../endpoints/classify.ts';
import { EndpointSet } from '../endpoints/endpoint-set.ts';
import type { EndpointSetDeps } from '../endpoints/endpoint-set.ts';
import { withForwarded } from '../endpoints/forwarded.ts';
import { callMatcher } from '../endpoints/match-call.ts';
import { withRemainingTime } from '../endpoints/remaining-time.ts';
import type { Way } from '../endpoints/reachable.ts';
import { withRewrittenAnswers } from '../endpoints/rewrite-answer.ts';
import { Roster } from '../endpoints/roster.ts';
import type { ScalingWatch } from '../endpoints/scaling-watch.ts';
import { Sessions } from '../endpoints/sessions.ts';
import { Subsets } from '../endpoints/subset.ts';
import { selectEndpoint } from '../endpoints/select-endpoint.ts';
import { ATTEMPT_POLICIES, EXCHANGE_POLICIES, compose } from '../pipeline.ts';
import type { AnyModule } from '../pipeline.ts';
import type { ConnectionWatch } from '../transport/connection-watch.ts';
import { EndpointTransport } from '../transport/endpoint-transport.ts';
import { attendantsOf } from './attendants.ts';
import { affinityFor, balancerOf, setOptionsOf } from './balancers.ts';
import type { Inventory } from './inventory.ts';
import { retire } from './retire.ts';
import { scalingWatchFor } from './scaling.ts';
import { transportOptionsOf } from './transport-options.ts';
import { sourceOf } from './sources.ts';
import { LiveUpstream } from './upstream.ts';
import type { LiveOverride, UpstreamSettings } from './upstream.ts';

export interface CompileDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  readonly watch: ConnectionWatch;
  /** Upstreams of the configuration in force, for ladders. */
  readonly recipient: (upstream: string) => Recipient | undefined;
  readonly stores: (shared: boolean) => Stores;
  /** What the shared ones are built from, as plain data: a policy that uses them follows their changes. Default: nothing. */
  readonly sharedIn?: unknown;
  /** The registry of this process, for discovery. */
  readonly registry?: InstanceDirectory | undefined;
}

/** A configuration that is valid in itself but cannot be brought to life here. */
export class CompileError extends Error {
  readonly path: readonly string[];

  constructor(path: readonly string[], message: string) {
    super(message);
    this.name = 'CompileError';
    this.path = path;
  }
}

/** @throws CompileError when a file cannot be read */
export function compileUpstreams(
  config: Config,
  inventory: Inventory,
  deps: CompileDeps,
): Map<string, LiveUpstream> {
  const upstreams = new Map<string, LiveUpstream>();
  for (const [name, one] of Object.entries(config.upstreams)) {
    upstreams.set(name, new UpstreamCompiler(name, one, { inventory, deps }).compile(config.usage));
  }
  return upstreams;
}

/** What differs for some calls of an upstream: the policies that are named here. */
interface Variant {
  readonly owner: string;
  readonly differing: Readonly<Record<string, unknown>>;
  /** Those of its policies that are its own, by name. */
  readonly policies: Map<string, Policy<Scope>>;
}

const OF_ALL_ENDPOINTS = (ATTEMPT_POLICIES as readonly AnyModule<Attempt>[]).filter(
  ({ sharedByEndpoints }) => sharedByEndpoints === true,
);

class UpstreamCompiler {
  readonly #name: string;
  readonly #config: UpstreamConfig;
  readonly #inventory: Inventory;
  readonly #deps: CompileDeps;
  readonly #dialect: Dialect;
  readonly #source: EndpointSource;

  constructor(name: string, config: UpstreamConfig, context: { inventory: Inventory; deps: CompileDeps }) {
    this.#name = name;
    this.#config = config;
    this.#inventory = context.inventory;
    this.#deps = context.deps;
    this.#source = sourceOf(name, config, { ...context.deps, inventory: context.inventory });
    // What was learnt of a server says nothing about another.
    const learntFrom = this.#addresses;
    this.#dialect = dialectOf(config, (what, create) =>
      this.#inventory.keep(`${name}/learnt/${what}`, learntFrom, create),
    );
  }

  compile({ currency }: Config['usage']): LiveUpstream {
    const config = this.#config;
    const all = this.#pipeline({ owner: this.#name, differing: {}, policies: new Map() });
    this.#roster.expect(all.endpoints);
    return new LiveUpstream({
      broadcast: this.#broadcast(),
      identity: {
        name: this.#name,
        dialect: this.#dialect,
        idempotent: config.idempotent,
        credentialHeaders: credentialHeadersOf(config),
        models: new ModelCatalog({ models: config.models, prices: config.prices, currency }),
      },
      settings: settingsOf(config),
      source: this.#source,
      attendants: attendantsOf(config, all.endpoints, {
        ...this.#deps,
        upstream: this.#name,
        inventory: this.#inventory,
      }),
      ...all,
      overrides: Object.entries(config.overrides).map(([name, { match, policies }]) => ({
        name,
        matches: callMatcher(match),
        ...this.#pipeline({ owner: `${this.#name}/${name}`, differing: policies, policies: new Map() }),
      })),
      scaling: (upstream) => this.#scaling(upstream),
    });
  }

  /** Policies and connections that do not differ are the same objects in all variants. */
  #pipeline(variant: Variant): Pick<LiveOverride, 'policies' | 'run'> & { readonly endpoints: EndpointSet } {
    const { clock, emit } = this.#deps;
    const exchangePolicies = this.#build<Exchange>(EXCHANGE_POLICIES, variant);
    // Also while no endpoint is known: what an earlier process has learnt is given to the parts that there are by then.
    this.#build<Attempt>(OF_ALL_ENDPOINTS, { ...variant, policies: new Map() });
    const endpoints = this.#endpoints(variant);
    const classify = classifier(this.#config.classify, this.#dialect, () => clock.wallTime());
    const select = selectEndpoint(endpoints, classify, { clock, emit, upstream: this.#name });
    const rewriting = this.#dialect.rewrite ? this.#rewriting(select, endpoints) : select;
    return { endpoints, policies: variant.policies, run: compose(exchangePolicies, rewriting) };
  }

  #broadcast(): Broadcast | undefined {
    const { broadcast } = this.#config;
    if (!broadcast) return undefined;
    const { clock, emit } = this.#deps;
    const underWay = this.#inventory.keep(`${this.#name}/broadcasts`, null, () => ({ count: 0 }));
    return new Broadcast(broadcast, { clock, emit, underWay });
  }

  #rewriting(next: Next<Exchange>, endpoints: EndpointSet): Next<Exchange> {
    const theirs = (): string[] =>
      endpoints.members.map(({ endpoint }) => endpoint.origin + endpoint.basePath);
    const { emit } = this.#deps;
    return withRewrittenAnswers(next, this.#dialect, { theirs, emit, upstream: this.#name });
  }

  #endpoints(variant: Variant): EndpointSet {
    const { clock, random } = this.#deps;
    const { balance, subset } = this.#config;
    const name = this.#name;
    const roster = this.#roster;
    const deps: EndpointSetDeps = {
      source: this.#source,
      roster,
      balancer: this.#inventory.keep(`${name}/balancer`, balance.algorithm, () =>
        balancerOf(balance.algorithm, random),
      ),
      affinity: affinityFor(balance, random),
      sessions: this.#sessions(),
      subsets: subset ? new Subsets(subset) : undefined,
      now: () => clock.now(),
      reach: (endpoint) => this.#reach(endpoint, variant),
      left: (endpoint) => {
        const owners = [
          name,
          ...Object.keys(this.#config.overrides).map((override) => `${name}/${override}`),
        ];
        const policies = owners.map((owner) => `${owner}/${endpoint.name}/`);
        retire(this.#inventory.release([`${name}/endpoint/${endpoint.name}`, ...policies]));
      },
    };
    return new EndpointSet(deps, setOptionsOf(this.#config));
  }

  #scaling(live: LiveUpstream): ScalingWatch | undefined {
    const { clock, emit } = this.#deps;
    return scalingWatchFor(this.#config.scaling, {
      ...{ clock, emit, upstream: this.#name, inventory: this.#inventory },
      endpoints: live.endpoints,
      waiting: () => live.waiting,
    });
  }

  get #roster(): Roster {
    const { clock, emit } = this.#deps;
    const upstream = this.#name;
    return this.#inventory.keep(`${upstream}/roster`, null, () => {
      const checked = Boolean(this.#config.healthCheck);
      return new Roster({ clock, emit, upstream, checked });
    });
  }

  #sessions(): Sessions | undefined {
    const { sessionHeader } = this.#dialect;
    if (sessionHeader === undefined) return undefined;
    return this.#inventory.keep(`${this.#name}/sessions`, sessionHeader, () => new Sessions(sessionHeader));
  }

  #reach(endpoint: Endpoint, variant: Variant): Way {
    const options = transportOptionsOf(this.#config);
    const { clock, watch } = this.#deps;
    const { origin, host, basePath } = endpoint;
    // The connections of one that went, and came back while this configuration was not in force yet, are closed.
    const { serial } = this.#roster.member(endpoint.name);
    const transport = this.#inventory.keep(
      `${this.#name}/endpoint/${endpoint.name}`,
      { origin, host, basePath, options, serial },
      () => new EndpointTransport(endpoint, options, { clock, watch }),
    );
    const policies = this.#build<Attempt>(ATTEMPT_POLICIES, variant, `/${endpoint.name}`);
    let send = (attempt: Attempt): Promise<Outcome> => transport.send(attempt);
    if (this.#config.passDeadline) send = withRemainingTime(send, clock);
    if (this.#config.forwarded) send = withForwarded(send);
    return { send: compose(policies, send), connections: () => transport.stats() };
  }

  /** The policies of one list that the configuration switches on, each the same object as before where nothing changed. */
  #build<S extends Scope>(modules: readonly AnyModule<S>[], variant: Variant, part = ''): Policy<S>[] {
    return modules.flatMap((module) => {
      const differs = variant.differing[module.key] !== undefined;
      const options = differs ? variant.differing[module.key] : this.#optionsOf(module.key);
      if (options === undefined || options === false) return [];
      if (module.suits?.(this.#dialect) === false) return [];
      const owner = differs ? variant.owner : this.#name;
      const holder = module.sharedByEndpoints === true ? owner : `${owner}${part}`;
      const description = this.#describe(module, options);
      const policy = this.#inventory.keep<Policy<S>>(`${holder}/${module.name}`, description, (previous) =>
        this.#buildOne(module, options, { owner, previous }),
      );
      if (differs || variant.owner === this.#name) variant.policies.set(module.name, policy);
      return [policy];
    });
  }

  /** All that the policy is built from. */
  #describe<S extends Scope>({ knowsCredentials, knowsEndpoints }: AnyModule<S>, options: unknown): unknown {
    const isShared = (options as { readonly shared?: unknown }).shared === true;
    if (!knowsCredentials && !knowsEndpoints && !isShared) return options;
    const parts = [knowsCredentials ? this.#credentials : null, knowsEndpoints ? this.#addresses : null];
    return [options, ...parts, isShared ? this.#deps.sharedIn : null];
  }

  #buildOne<S extends Scope>(
    module: AnyModule<S>,
    options: unknown,
    { owner, previous }: { readonly owner: string; readonly previous: Policy<S> | undefined },
  ): Policy<S> {
    const { clock, random, emit, recipient, stores } = this.#deps;
    const upstream = this.#name;
    const deps: PolicyDeps = {
      clock,
      random,
      emit,
      upstream,
      owner,
      credentials: this.#credentials,
      endpoints: this.#addresses,
      ejections: this.#roster,
      sendTo: recipient,
      stores,
    };
    try {
      return module.build(options as never, deps as never, previous as never);
    } catch (error) {
      throw new CompileError(['upstreams', this.#name, 'policies', module.key], (error as Error).message);
    }
  }

  get #addresses(): readonly string[] {
    const { endpoints, discovery } = this.#config;
    // Who is found may change from minute to minute: what is learnt belongs to the place where they are found.
    return discovery ? [JSON.stringify(discovery)] : endpoints.map(({ url }) => url);
  }

  get #credentials(): readonly CredentialIdentity[] {
    const { credentials } = this.#config;
    return credentials ? keysOf(credentials).map(({ name, id }) => ({ name, id })) : [];
  }

  #optionsOf(key: string): unknown {
    if (key === 'credentials') return this.#config.credentials;
    return (this.#config.policies as Readonly<Record<string, unknown>>)[key];
  }
}

function credentialHeadersOf({ credentials }: UpstreamConfig): ReadonlySet<string> {
  return credentials
    ? new Set([...CREDENTIAL_HEADERS, credentials.header.toLowerCase()])
    : CREDENTIAL_HEADERS;
}

function settingsOf(config: UpstreamConfig): UpstreamSettings {
  return {
    route: config.route,
    listen: config.listen,
    replayLimitBytes: config.replayLimit,
    bufferFirstBytes: config.bufferFirst,
    upgrades: config.upgrades,
    tunnelIdleMs: config.tunnelIdle,
    capacity: config.scaling ? config.scaling.capacity : undefined,
    endpointHeader: config.sendToOne ? config.sendToOne.header.toLowerCase() : undefined,
  };
}
