/** The endpoints of one upstream: which there are, how to reach each, and which one is next. */
import type { Balancer } from '../core/balancer.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { EndpointSource } from '../core/endpoint-source.ts';
import type { Exchange } from '../core/exchange.ts';
import type { ResponseHead } from '../core/outcome.ts';
import type { Reason } from '../core/reasons.ts';
import type { Affinity } from './affinity.ts';
import { mayRepeat } from '../core/replay-safety.ts';
import { eligible } from './eligible.ts';
import type { Eligible, EligibleOptions } from './eligible.ts';
import { endpointsOf } from './endpoint.ts';
import { ReachableEndpoint } from './reachable.ts';
import type { SlowStart, Way } from './reachable.ts';
import type { Remembered } from './decisions.ts';
import type { Roster } from './roster.ts';
import type { Sessions } from './sessions.ts';
import { inWords } from './subset.ts';
import type { Subsets } from './subset.ts';
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
  /** Which endpoints a call may go to at all; undefined: to all. */
  readonly subsets?: Subsets | undefined;
  readonly now: () => number;
  /** Asked once for every endpoint that comes. */
  reach(endpoint: Endpoint): Way;
  /** Told of every endpoint that goes, once for all sets in force that share the roster; calls under way still have it. */
  left?(endpoint: Endpoint): void;
}

export interface EndpointSetOptions extends EligibleOptions {
  readonly slowStart: SlowStart;
  readonly zone?: ZonePreference | undefined;
  /** Endpoints are checked actively: one that has just come is `starting`. Default: false. */
  readonly checked?: boolean;
}

const NO_OPTIONS: EndpointSetOptions = { panicThreshold: 0, slowStart: { windowMs: 0, from: 1 } };

export class EndpointSet {
  readonly #deps: EndpointSetDeps;
  readonly #options: EndpointSetOptions;
  #members: readonly ReachableEndpoint[] = [];
  #sourceVersion: number | undefined;
  #eligible: Eligible = { endpoints: [], panicking: false, ejected: [] };
  #eligibleAt: number | undefined;
  /** It tells of panics: of all variants of an upstream, only its own does. */
  #inForce = false;
  /** It is a variant's, and that is in force. */
  #joined = false;
  /** Half of the list is as it was, the other half as it is. */
  #following = false;
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

  /** What operators decided on endpoints that are not listed at present. */
  get remembered(): readonly Remembered[] {
    this.#follow();
    return this.#deps.roster.remembered;
  }

  /** Forgets such a decision. @returns whether there was one */
  takeBack(name: string): boolean {
    return this.#deps.roster.takeBack(name);
  }

  /** Too few endpoints are well; all are used. */
  get panicking(): boolean {
    // While a list is taken over, what comes of it is not known yet; and asking again and again would take too long.
    return this.#following ? this.#eligible.panicking : this.#choices().panicking;
  }

  /**
   * An endpoint that this exchange has not tried yet and does not try now, while there is one; undefined only when there
   * is none that may be used. Where it names one, that one.
   */
  pick(exchange: Exchange): ReachableEndpoint | undefined {
    if (exchange.pinnedTo !== undefined) return this.#pinned(exchange.pinnedTo);
    return this.#homeOf(exchange) ?? this.#onTrial(exchange) ?? this.#balanced(exchange);
  }

  /** Whether nobody would have to panic, were that one ejected. */
  canSpare(name: string): boolean {
    const { endpoints, panicking } = eligible(this.members, this.#options, name);
    return endpoints.length > 0 && !panicking;
  }

  /** Why `pick` found none. */
  whyNone(exchange: Exchange): { readonly reason: Reason; readonly detail?: string } {
    const { pinnedTo } = exchange;
    if (pinnedTo !== undefined)
      return this.find(pinnedTo)
        ? { reason: 'no_endpoint', detail: 'the endpoint that the request names is disabled' }
        : { reason: 'unknown_endpoint' };
    const need = this.#deps.subsets?.needOf(exchange);
    return { reason: 'no_endpoint', ...(need && { detail: `nobody has what is needed: ${inWords(need)}` }) };
  }

  /** @param name of an endpoint, or its instance */
  find(name: string): ReachableEndpoint | undefined {
    const { members } = this;
    return members.find((one) => one.name === name) ?? members.find((one) => one.endpoint.instance === name);
  }

  /** All that have what the call needs, whatever their state, in the order of the list. */
  everyoneFor(exchange: Exchange): readonly ReachableEndpoint[] {
    const { subsets } = this.#deps;
    const need = subsets?.needOf(exchange);
    return subsets && need ? subsets.members(need, this.members) : this.members;
  }

  /** Which endpoint is next stands in the request's body, which must be here first. */
  get needsBody(): boolean {
    if (this.#deps.subsets?.needsBody === true) return true;
    return this.#deps.affinity?.needsBody === true && this.#members.length > 1;
  }

  /** Where a session lives is learnt from the answers. */
  answered({ request }: Exchange, { name }: Endpoint, head: ResponseHead): void {
    if (this.#members.length > 1) this.#deps.sessions?.answered(request, head, name);
  }

  /**
   * Its configuration is in force now: what others had on their lists, and it has not, is gone.
   * @param ejecting somebody takes failing endpoints out, and back; otherwise none stays out
   */
  takeOver({ ejecting = true } = {}): void {
    const { roster } = this.#deps;
    this.#inForce = true;
    this.#sourceVersion = undefined;
    roster.expectChecks(this.#options.checked === true);
    roster.follow(this);
    roster.expectEjections(ejecting);
  }

  /** As the list of a variant: its configuration, whose own list has taken over, is in force now. */
  join(): void {
    this.#joined = true;
    this.#sourceVersion = undefined;
    this.#follow();
  }

  /** The configuration that was to take over is refused: what it had on its list besides is forgotten. */
  insist(): void {
    if (!this.#inForce) return;
    const { roster } = this.#deps;
    // Where it had others at the same addresses, their names became those others'.
    for (const { endpoint } of this.#members) roster.names.keep(endpoint);
    roster.follow(this);
  }

  /** From now on the list stays as it is. */
  dispose(): void {
    this.#retired = true;
    this.#inForce = false;
    this.#joined = false;
    this.#deps.roster.leave(this);
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

  /**
   * An ejected endpoint whose time is over and that this call may find out about: its first try, so that there is another
   * one elsewhere, and rather one that does no harm when it is made again.
   */
  #onTrial(exchange: Exchange): ReachableEndpoint | undefined {
    const { ejected } = this.#choicesFor(exchange);
    if (ejected.length === 0 || exchange.nextAttempt.spare || this.#tried(exchange).size > 0)
      return undefined;
    return ejected.find(({ member }) => {
      const calls = member.trial?.calls ?? 'none';
      return calls === 'any' || (calls === 'repeatable' && exchange.body.replayable && mayRepeat(exchange));
    });
  }

  /** Also one that drains: what the client wants of it may live there. */
  #pinned(name: string): ReachableEndpoint | undefined {
    const named = this.find(name);
    return named?.member.operation === 'disabled' ? undefined : named;
  }

  #balanced(exchange: Exchange): ReachableEndpoint | undefined {
    const { endpoints } = this.#choicesFor(exchange);
    const tried = this.#tried(exchange);
    const untried = tried.size === 0 ? endpoints : endpoints.filter(({ name }) => !tried.has(name));
    const left = untried.length > 0 ? untried : this.#beyond(exchange, tried);
    if (left.length <= 1) return left[0];
    const { affinity, balancer } = this.#deps;
    const again = tried.size > 0;
    const key = affinity?.keyOf(exchange);
    if (affinity && key !== undefined) return left[affinity.balancer.pick(left, { key, again })];
    const candidates = this.#options.zone ? nearby(left, this.#options.zone) : left;
    return candidates[balancer.pick(candidates, { key: undefined, again })];
  }

  /**
   * Where all have been tried that would be asked: those that are asked after them, as of the next priority; or else,
   * of the same once more, not the one that failed just now.
   */
  #beyond(exchange: Exchange, tried: ReadonlySet<string>): readonly ReachableEndpoint[] {
    const others = this.everyoneFor(exchange).filter(
      ({ name, endpoint }) => endpoint.weight > 0 && !tried.has(name),
    );
    const { endpoints, panicking } = eligible(others, { panicThreshold: 0 });
    if (endpoints.length > 0 && !panicking) return endpoints;
    return allButTheLast(this.#choicesFor(exchange).endpoints, exchange);
  }

  #choicesFor(exchange: Exchange): Eligible {
    const all = this.#choices();
    const { subsets } = this.#deps;
    const need = subsets?.needOf(exchange);
    if (!subsets || !need) return all;
    return subsets.eligible(need, all, { members: this.#members, ...this.#options });
  }

  #choices(): Eligible {
    this.#follow();
    const { version } = this.#deps.roster;
    if (this.#eligibleAt !== version) {
      this.#eligible = eligible(this.#members, this.#options);
      this.#eligibleAt = version;
      // Also when it is the list that changed, and not an endpoint.
      if (this.#inForce) this.#deps.roster.panics(this.#eligible.panicking);
    }
    return this.#eligible;
  }

  /** A ladder's attempts are in one list: only those at endpoints of this upstream count here. */
  #tried({ attempts, upstream }: Exchange): ReadonlySet<string> {
    if (attempts.length === 0) return NONE;
    const own = attempts.filter((attempt) => attempt.exchange.upstream === upstream);
    return new Set(own.map(({ endpoint }) => endpoint.name));
  }

  /**
   * What it knows of endpoints counts: its configuration is in force, or none is yet. Another that shares the roster may
   * still be refused, and must change nothing for the one in force; what it would say is said when it takes over.
   */
  get #acts(): boolean {
    return this.#inForce || this.#joined || !this.#deps.roster.isLed;
  }

  /** Takes over the list as it is now. An endpoint that stays is reached as before. */
  #follow(): void {
    const { source, roster, now } = this.#deps;
    if (this.#retired || source.version === this.#sourceVersion) return;
    this.#sourceVersion = source.version;
    this.#following = true;
    const before = new Map(this.#members.map((one) => [one.name, one]));
    const { slowStart } = this.#options;
    const next = endpointsOf(source.endpoints, roster.names);
    const ways = new Map(next.map((endpoint) => [endpoint.name, wayTo(endpoint)]));
    for (const { endpoint, member } of [...before.values()]) {
      const isKnown = roster.knows(member);
      if (isKnown && ways.get(endpoint.name) === wayTo(endpoint)) continue;
      before.delete(endpoint.name);
      // Else another variant of the upstream has seen it go before, and what it had is gone with it.
      if (!isKnown || !this.#acts) continue;
      roster.forget(endpoint);
      this.#deps.left?.(endpoint);
    }
    this.#members = next.map((endpoint, index) => {
      const way = before.get(endpoint.name) ?? this.#deps.reach(endpoint);
      const member = roster.member(endpoint.name);
      if (this.#acts) member.report(source.endpoints[index]?.status ?? 'up');
      return new ReachableEndpoint(endpoint, member, way, { slowStart, now });
    });
    this.#eligibleAt = undefined;
    this.#following = false;
    // What is told of a panic is told at once.
    if (this.#inForce) this.#choices();
  }
}

/** Where this changes, the connections that there are lead elsewhere. */
const wayTo = ({ host, basePath }: Endpoint): string => host + basePath;

const NONE: ReadonlySet<string> = new Set();

/** The one that failed just now is the worst choice. */
function allButTheLast(
  endpoints: readonly ReachableEndpoint[],
  { attempts }: Exchange,
): readonly ReachableEndpoint[] {
  const last = attempts.at(-1)?.endpoint.name;
  return endpoints.length > 1 ? endpoints.filter(({ name }) => name !== last) : endpoints;
}
