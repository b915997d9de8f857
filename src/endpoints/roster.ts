/** All endpoints of one upstream that there are or were lately, with what happened to them. Lives through reloads. */
import type { Clock } from '../core/clock.ts';
import type { Ejections } from '../core/ejections.ts';
import type { Endpoint, EndpointState, Health, Operation } from '../core/endpoint.ts';
import type { Emit } from '../core/events.ts';
import type { Instants, Persistent, PersistentState } from '../core/persistence.ts';
import { Decisions } from './decisions.ts';
import type { Remembered } from './decisions.ts';
import { EndpointNames } from './endpoint-names.ts';
import type { Unnamed } from './endpoint-names.ts';
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
    'panic-changed': {
      readonly upstream: string;
      readonly panicking: boolean;
      /** Endpoints that are available. */
      readonly available: number;
      /** All endpoints. */
      readonly endpoints: number;
    };
  }
}

/** The list in force, asked for what only it knows. */
export interface Census {
  readonly members: readonly { readonly member: Member }[];
  readonly panicking: boolean;
  canSpare(name: string): boolean;
}

export class Roster implements Ejections, Persistent {
  readonly names = new EndpointNames();
  readonly #deps: { readonly clock: Clock; readonly emit: Emit; readonly upstream: string };
  readonly #members = new Map<string, Member>();
  readonly #decisions = new Decisions();
  /** Undefined until a configuration is in force. */
  #census: Census | undefined;
  /** What will be in force first; undefined once anything is. */
  #coming: Census | undefined;
  #panicking = false;
  /** Changes whenever the state of an endpoint does. */
  version = 0;
  #serial = 0;
  /** What is thought of endpoints that nobody has looked at. */
  #newcomers: Health;
  /** Somebody takes failing endpoints out, and back. */
  #ejecting = true;

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
      serial: ++this.#serial,
      operation: this.#decisionOn(name),
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

  /**
   * The endpoint of that name, if it is on the list; before any list is in force, on the one that is about to be. None
   * where nobody takes endpoints out any more: what calls from before find out must not do so, for nobody would let it back.
   */
  find(name: string): Member | undefined {
    if (!this.#ejecting) return undefined;
    const list = this.#census ?? this.#coming;
    // Who is asked for its members looks at its source first.
    return list?.members.length === 0 ? undefined : this.#members.get(name);
  }

  /** A list is in force. */
  get isLed(): boolean {
    return this.#census !== undefined;
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

  /** That list will be in force, unless its configuration is refused. What an earlier process knew is of those on it. */
  expect(census: Census): void {
    if (!this.#census) this.#coming = census;
  }

  /** From now on that is the list in force; all others are forgotten. */
  follow(census: Census): void {
    this.#census = census;
    this.#coming = undefined;
    this.#retain(new Set(census.members.map(({ member }) => member.name)));
    this.panics(census.panicking);
  }

  /** That list is not in force any more. */
  leave(census: Census): void {
    if (this.#census === census) this.#census = undefined;
  }

  /** What a list in use says of itself. */
  panics(panicking: boolean): void {
    if (panicking === this.#panicking) return;
    this.#panicking = panicking;
    const members = this.endpoints;
    const available = members.filter(({ state }) => state === 'available').length;
    const { upstream } = this.#deps;
    this.#deps.emit('panic-changed', { upstream, panicking, available, endpoints: members.length });
  }

  /** Whether somebody takes failing endpoints out from now on, and back. Where nobody does, none stays out. */
  expectEjections(ejecting: boolean): void {
    this.#ejecting = ejecting;
    if (ejecting) return;
    for (const member of this.#members.values()) member.setEjected(false);
  }

  /** An endpoint is gone: should it come back, it is as good as new, but for what an operator decided. */
  forget(endpoint: Endpoint): void {
    this.#remove(endpoint.name, endpoint);
    this.names.forget(endpoint);
  }

  /** What operators decided on endpoints that are not listed at present. */
  get remembered(): readonly Remembered[] {
    return this.#decisions.remembered(this.#deps.clock.now());
  }

  /** @returns whether anything was remembered of an endpoint that was called so; it is not any more */
  takeBack(name: string): boolean {
    return this.#decisions.takeBack(name, this.#deps.clock.now());
  }

  /** What operators decided. */
  capture(instants: Instants): PersistentState | undefined {
    const listed = [...this.#members.values()].flatMap(({ name, operation }) => {
      const endpoint = this.names.whoIs(name);
      return endpoint ? [{ name, endpoint, operation }] : [];
    });
    return this.#decisions.capture(listed, instants, this.#deps.clock.now());
  }

  restore(saved: unknown, instants: Instants): boolean {
    const isUnderstood = this.#decisions.restore(saved, instants, this.#deps.clock.now());
    for (const member of this.#members.values()) {
      const operation = this.#decisionOn(member.name);
      if (operation !== 'enabled') member.operate(operation);
    }
    return isUnderstood;
  }

  #decisionOn(name: string): Operation {
    const endpoint = this.names.whoIs(name);
    return endpoint ? this.#decisions.take(endpoint, this.#deps.clock.now()) : 'enabled';
  }

  #remove(name: string, endpoint: Unnamed | undefined): void {
    const member = this.#members.get(name);
    this.#members.delete(name);
    const now = this.#deps.clock.now();
    if (member && endpoint) this.#decisions.keep({ name, endpoint, operation: member.operation }, now);
  }

  #retain(names: ReadonlySet<string>): void {
    for (const name of [...this.#members.keys()]) {
      if (names.has(name)) continue;
      this.#remove(name, this.names.whoIs(name));
      this.names.forgetName(name);
    }
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

  #changed(endpoint: string, from: EndpointState, to: EndpointState): void {
    this.version += 1;
    this.#deps.emit('endpoint-changed', { upstream: this.#deps.upstream, endpoint, from, to });
    // At once, and not with the next call.
    if (this.#census) this.panics(this.#census.panicking);
  }
}

const newcomersWhen = (checked: boolean): Health => (checked ? 'starting' : 'unknown');
