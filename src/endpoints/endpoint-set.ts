/** The endpoints of one upstream: which there are, how to reach each, and which one is next. */
import type { Balancer } from '../core/balancer.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { EndpointSource } from '../core/endpoint-source.ts';
import type { Exchange } from '../core/exchange.ts';
import type { ResponseHead } from '../core/outcome.ts';
import type { Affinity } from './affinity.ts';
import { eligible } from './eligible.ts';
import type { Eligible, EligibleOptions } from './eligible.ts';
import { endpointsOf } from './endpoint.ts';
import { ReachableEndpoint } from './reachable.ts';
import type { SlowStart, Way } from './reachable.ts';
import type { Roster } from './roster.ts';
import type { Sessions } from './sessions.ts';
import { nearby } from './zone.ts';
import type { ZonePreference } from './zone.ts';

export interface EndpointSetDeps {
  readonly source: EndpointSource;
  readonly roster: Roster;
  readonly balancer: Balancer;
  /** Calls that belong together, and the balancer that keeps them so. */
  readonly affinity?: (Affinity & { readonly balancer: Balancer }) | undefined;
  /** What belongs to a session goes where the session lives. */
  readonly sessions?: Sessions | undefined;
  readonly now: () => number;
  /** Asked once for every endpoint that comes. */
  reach(endpoint: Endpoint): Way;
  /** Told of every endpoint that goes; calls under way still have it. */
  left?(endpoint: Endpoint): void;
}

export interface EndpointSetOptions extends EligibleOptions {
  readonly slowStart: SlowStart;
  readonly zone?: ZonePreference | undefined;
}

const NO_OPTIONS: EndpointSetOptions = { panicThreshold: 0, slowStart: { windowMs: 0, from: 1 } };

export class EndpointSet {
  readonly #deps: EndpointSetDeps;
  readonly #options: EndpointSetOptions;
  #members: readonly ReachableEndpoint[] = [];
  #sourceVersion: number | undefined;
  #eligible: Eligible = { endpoints: [], panicking: false };
  #eligibleAt: number | undefined;
  /** It belongs to a configuration that is not in force any more: what it has is what it keeps. */
  #retired = false;

  constructor(deps: EndpointSetDeps, options: EndpointSetOptions = NO_OPTIONS) {
    this.#deps = deps;
    this.#options = options;
    this.#follow();
  }

  get members(): readonly ReachableEndpoint[] {
    this.#follow();
    return this.#members;
  }

  /** Too few endpoints are well; all are used. */
  get panicking(): boolean {
    return this.#choices().panicking;
  }

  /**
   * An endpoint that this exchange has not tried yet and does not try now, while there is one; undefined only when there
   * is none that may be used.
   */
  pick(exchange: Exchange): ReachableEndpoint | undefined {
    return this.#homeOf(exchange) ?? this.#balanced(exchange);
  }

  /** Which endpoint is next stands in the request's body, which must be here first. */
  get needsBody(): boolean {
    return this.#deps.affinity?.needsBody === true && this.#members.length > 1;
  }

  /** Where a session lives is learnt from the answers. */
  answered({ request }: Exchange, { name }: Endpoint, head: ResponseHead): void {
    if (this.#members.length > 1) this.#deps.sessions?.answered(request, head, name);
  }

  /** Its configuration is in force now: what others had on their lists, and it has not, is gone. */
  takeOver(): void {
    this.#deps.roster.retain(new Set(this.members.map(({ name }) => name)));
  }

  /** From now on the list stays as it is. */
  dispose(): void {
    this.#retired = true;
  }

  /**
   * The endpoint that keeps the session, also for another try: no other knows it. Once it turned out to be out of reach,
   * any is as good: with luck they share their sessions, else a 404 makes the client begin a new one.
   */
  #homeOf(exchange: Exchange): ReachableEndpoint | undefined {
    if (this.members.length <= 1) return undefined;
    const home = this.#deps.sessions?.endpointOf(exchange.request);
    if (home === undefined) return undefined;
    const lost = exchange.attempts.some(
      ({ endpoint, sent, status, reason }) =>
        endpoint.name === home && sent === 'no' && status === undefined && reason !== 'superseded',
    );
    if (lost) return undefined;
    return this.#members.find(({ name, member }) => name === home && member.operation !== 'disabled');
  }

  #balanced(exchange: Exchange): ReachableEndpoint | undefined {
    const { endpoints } = this.#choices();
    const tried = this.#tried(exchange);
    const untried = tried.size === 0 ? endpoints : endpoints.filter(({ name }) => !tried.has(name));
    const left = untried.length > 0 ? untried : allButTheLast(endpoints, exchange);
    if (left.length <= 1) return left[0];
    const { affinity, balancer } = this.#deps;
    const again = tried.size > 0;
    const key = affinity?.keyOf(exchange);
    if (affinity && key !== undefined) return left[affinity.balancer.pick(left, { key, again })];
    const candidates = this.#options.zone ? nearby(left, this.#options.zone) : left;
    return candidates[balancer.pick(candidates, { key: undefined, again })];
  }

  #choices(): Eligible {
    this.#follow();
    const { version } = this.#deps.roster;
    if (this.#eligibleAt !== version) {
      this.#eligible = eligible(this.#members, this.#options);
      this.#eligibleAt = version;
    }
    return this.#eligible;
  }

  /** A ladder's attempts are in one list: only those at endpoints of this upstream count here. */
  #tried({ attempts, upstream }: Exchange): ReadonlySet<string> {
    if (attempts.length === 0) return NONE;
    const own = attempts.filter((attempt) => attempt.exchange.upstream === upstream);
    return new Set(own.map(({ endpoint }) => endpoint.name));
  }

  /** Takes over the list as it is now. An endpoint that stays is reached as before. */
  #follow(): void {
    const { source, roster, now } = this.#deps;
    if (this.#retired || source.version === this.#sourceVersion) return;
    this.#sourceVersion = source.version;
    const before = new Map(this.#members.map((one) => [one.name, one]));
    const { slowStart } = this.#options;
    const next = endpointsOf(source.endpoints);
    const addresses = new Map(next.map(({ name, basePath }) => [name, basePath]));
    for (const { endpoint } of [...before.values()]) {
      if (addresses.get(endpoint.name) === endpoint.basePath) continue;
      before.delete(endpoint.name);
      this.#deps.left?.(endpoint);
    }
    this.#members = next.map((endpoint, index) => {
      const way = before.get(endpoint.name) ?? this.#deps.reach(endpoint);
      const member = roster.member(endpoint.name);
      member.report(source.endpoints[index]?.status ?? 'up');
      return new ReachableEndpoint(endpoint, member, way, { slowStart, now });
    });
    this.#eligibleAt = undefined;
  }
}

const NONE: ReadonlySet<string> = new Set();

/** Where all have been tried, the one that failed just now is the worst choice. */
function allButTheLast(
  endpoints: readonly ReachableEndpoint[],
  { attempts }: Exchange,
): readonly ReachableEndpoint[] {
  const last = attempts.at(-1)?.endpoint.name;
  return endpoints.length > 1 ? endpoints.filter(({ name }) => name !== last) : endpoints;
}
