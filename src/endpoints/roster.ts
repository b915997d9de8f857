/** All endpoints of one upstream that there are or were lately, with what happened to them. Lives through reloads. */
import type { Clock } from '../core/clock.ts';
import type { EndpointState, Health } from '../core/endpoint.ts';
import type { Emit } from '../core/events.ts';
import { Member } from './member.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** An endpoint is given calls again, or not any more. */
    'endpoint-changed': {
      readonly upstream: string;
      readonly endpoint: string;
      readonly from: EndpointState;
      readonly to: EndpointState;
    };
    /** So few endpoints are well that all of them are used; or enough of them are again. */
    'panic-changed': { readonly upstream: string; readonly panicking: boolean } & Wellness;
  }
}

interface Wellness {
  /** Endpoints that are available. */
  readonly available: number;
  /** All endpoints. */
  readonly endpoints: number;
}

export class Roster {
  readonly #deps: { readonly clock: Clock; readonly emit: Emit; readonly upstream: string };
  readonly #members = new Map<string, Member>();
  /** Changes whenever the state of an endpoint does. */
  version = 0;
  /** What is thought of endpoints that nobody has looked at. */
  #newcomers: Health;
  #panicking = false;
  #watcher: (() => void) | undefined;

  constructor(deps: { clock: Clock; emit: Emit; upstream: string; checked?: boolean }) {
    this.#deps = deps;
    this.#newcomers = newcomersWhen(deps.checked === true);
  }

  /** The endpoint of that name; one that nobody has asked for before is new and unharmed. */
  member(name: string): Member {
    const known = this.#members.get(name);
    if (known) return known;
    const { clock } = this.#deps;
    const member = new Member(name, {
      health: this.#newcomers,
      now: () => clock.now(),
      onChange: (_, from, to) => this.#changed(name, from, to),
    });
    this.#members.set(name, member);
    return member;
  }

  /** Whether that is what it would be asked for: not an endpoint that has gone meanwhile, and perhaps come back as new. */
  knows(member: Member): boolean {
    return this.#members.get(member.name) === member;
  }

  /** Forgets an endpoint that is gone: should it come back, it is as good as new. */
  forget(name: string): void {
    this.#members.delete(name);
  }

  /** Forgets all others. */
  retain(names: ReadonlySet<string>): void {
    for (const name of [...this.#members.keys()]) if (!names.has(name)) this.#members.delete(name);
  }

  /** Whether endpoints are checked actively from now on. Where they are not, what checks have found counts no more. */
  expectChecks(checked: boolean): void {
    this.#newcomers = newcomersWhen(checked);
    if (checked) return;
    for (const member of this.#members.values()) {
      member.check = undefined;
      member.setHealth('unknown');
    }
  }

  /** Calls `changed` after every change of a state, instead of whoever was called before. */
  watch(changed: () => void): void {
    this.#watcher = changed;
  }

  unwatch(changed: () => void): void {
    if (this.#watcher === changed) this.#watcher = undefined;
  }

  /** Told whenever it may have changed; tells others when it has. Lives through reloads as the endpoints do. */
  panic(panicking: boolean, wellness: () => Wellness): void {
    if (panicking === this.#panicking) return;
    this.#panicking = panicking;
    this.#deps.emit('panic-changed', { upstream: this.#deps.upstream, panicking, ...wellness() });
  }

  #changed(endpoint: string, from: EndpointState, to: EndpointState): void {
    this.version += 1;
    this.#deps.emit('endpoint-changed', { upstream: this.#deps.upstream, endpoint, from, to });
    this.#watcher?.();
  }
}

const newcomersWhen = (checked: boolean): Health => (checked ? 'starting' : 'unknown');
