/** All endpoints of one upstream that there are or were lately, with what happened to them. Lives through reloads. */
import type { Clock } from '../core/clock.ts';
import type { Ejections } from '../core/ejections.ts';
import type { EndpointState } from '../core/endpoint.ts';
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
    /** So few endpoints are well that all of them are used, or that is over. */
    'panic-changed': { readonly upstream: string; readonly panicking: boolean };
  }
}

/** The list in force, asked for what only it knows. */
export interface Census {
  readonly members: readonly { readonly member: Member }[];
  readonly panicking: boolean;
  canSpare(name: string): boolean;
}

export class Roster implements Ejections {
  readonly #deps: { readonly clock: Clock; readonly emit: Emit; readonly upstream: string };
  readonly #members = new Map<string, Member>();
  /** Undefined until a configuration is in force. */
  #census: Census | undefined;
  #panicking = false;
  /** Changes whenever the state of an endpoint does. */
  version = 0;

  constructor(deps: { clock: Clock; emit: Emit; upstream: string }) {
    this.#deps = deps;
  }

  /** The endpoint of that name; one that nobody has asked for before is new and unharmed. */
  member(name: string): Member {
    const known = this.#members.get(name);
    if (known) return known;
    const { clock } = this.#deps;
    const member = new Member(name, {
      now: () => clock.now(),
      onChange: (_, from, to) => this.#changed(name, from, to),
    });
    this.#members.set(name, member);
    return member;
  }

  find(name: string): Member | undefined {
    return this.#members.get(name);
  }

  get size(): number {
    return this.#census?.members.length ?? this.#members.size;
  }

  get endpoints(): readonly Member[] {
    return this.#census?.members.map(({ member }) => member) ?? [...this.#members.values()];
  }

  canSpare(name: string): boolean {
    return this.#census?.canSpare(name) ?? false;
  }

  /** From now on that is the list in force; all others are forgotten. */
  follow(census: Census): void {
    this.#census = census;
    this.#retain(new Set(census.members.map(({ member }) => member.name)));
    this.panics(census.panicking);
  }

  /** What a list in use says of itself. */
  panics(panicking: boolean): void {
    if (panicking === this.#panicking) return;
    this.#panicking = panicking;
    this.#deps.emit('panic-changed', { upstream: this.#deps.upstream, panicking });
  }

  /** Nobody looks after those that are out any more. */
  endEjections(): void {
    for (const member of this.#members.values()) member.setEjected(false);
  }

  /** Forgets an endpoint that is gone: should it come back, it is as good as new. */
  forget(name: string): void {
    this.#members.delete(name);
  }

  #retain(names: ReadonlySet<string>): void {
    for (const name of [...this.#members.keys()]) if (!names.has(name)) this.#members.delete(name);
  }

  #changed(endpoint: string, from: EndpointState, to: EndpointState): void {
    this.version += 1;
    this.#deps.emit('endpoint-changed', { upstream: this.#deps.upstream, endpoint, from, to });
    // At once, and not with the next call.
    if (this.#census) this.panics(this.#census.panicking);
  }
}
