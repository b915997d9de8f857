/**
 * Which endpoints a call may go to at all, by what it needs and what is known of them. It comes before everything that
 * chooses among endpoints: priorities, panic, zone, affinity and balance only see those that have what is needed.
 */
import { namesLike } from '../algorithms/name-pattern.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { Exchange } from '../core/exchange.ts';
import { headerValues } from '../core/header-list.ts';
import type { SubsetOptions, SubsetRule } from '../schema/subset.ts';
import { eligible } from './eligible.ts';
import type { Eligible, EligibleOptions } from './eligible.ts';
import { callMatcher } from './match-call.ts';
import type { ReachableEndpoint } from './reachable.ts';

/** What a call needs. */
export interface Need {
  /** The same for calls that need the same. */
  readonly key: string;
  /** Values by key of the metadata; none is empty. */
  readonly values: ReadonlyMap<string, readonly string[]>;
}

type Read = (exchange: Exchange) => readonly string[];

/** Needs for which the choice is remembered; what clients write must not fill the memory. */
const MAX_KEPT = 256;
const MAX_KEPT_KEY = 1_024;

export class Subsets {
  /** What calls need stands in their bodies, which must be here first. */
  readonly needsBody: boolean;
  readonly #rules: readonly { readonly metadata: string; readonly read: Read }[];
  readonly #otherwise: SubsetOptions['otherwise'];
  readonly #offers = new WeakMap<Endpoint, Map<string, (value: string) => boolean>>();
  readonly #kept = new Map<string, Eligible>();
  /** What the kept choices were made from. */
  #keptFor: Eligible | undefined;

  constructor({ rules, otherwise }: SubsetOptions) {
    this.#rules = rules.map((rule) => ({ metadata: rule.metadata, read: readerOf(rule) }));
    this.#otherwise = otherwise;
    this.needsBody = rules.some(readsCall);
  }

  /** Undefined: nothing but what everybody has. */
  needOf(exchange: Exchange): Need | undefined {
    const values = new Map<string, readonly string[]>();
    for (const { metadata, read } of this.#rules) {
      const more = read(exchange);
      if (more.length > 0) values.set(metadata, [...(values.get(metadata) ?? []), ...more]);
    }
    if (values.size === 0) return undefined;
    for (const [metadata, all] of values) values.set(metadata, [...new Set(all)].sort());
    return { key: JSON.stringify([...values]), values };
  }

  /**
   * Who may be given a call with this need now.
   * @param all who may be given calls without one, the same object as long as nothing has changed
   */
  eligible(
    need: Need,
    all: Eligible,
    from: { members: readonly ReachableEndpoint[] } & EligibleOptions,
  ): Eligible {
    if (this.#keptFor !== all) this.#kept.clear();
    this.#keptFor = all;
    const known = this.#kept.get(need.key);
    if (known) return known;
    const some = eligible(this.#having(need, from.members), from);
    const spills = this.#otherwise === 'any' && (some.endpoints.length === 0 || some.panicking);
    const choice = spills ? all : some;
    if (need.key.length <= MAX_KEPT_KEY) this.#keep(need.key, choice);
    return choice;
  }

  /** All that have it, whatever their state. */
  members(need: Need, members: readonly ReachableEndpoint[]): readonly ReachableEndpoint[] {
    const some = this.#having(need, members);
    return some.length === 0 && this.#otherwise === 'any' ? members : some;
  }

  #keep(key: string, choice: Eligible): void {
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(key, choice);
  }

  #having({ values }: Need, members: readonly ReachableEndpoint[]): ReachableEndpoint[] {
    const needed = [...values];
    return members.filter(({ endpoint }) =>
      needed.every(([metadata, all]) => all.every(this.#offer(endpoint, metadata))),
    );
  }

  /** What one endpoint has under a key of its metadata. */
  #offer(endpoint: Endpoint, metadata: string): (value: string) => boolean {
    const offers = this.#offers.get(endpoint) ?? new Map<string, (value: string) => boolean>();
    this.#offers.set(endpoint, offers);
    const known = offers.get(metadata);
    if (known) return known;
    const text = Object.hasOwn(endpoint.metadata, metadata) ? endpoint.metadata[metadata] : undefined;
    const offer = namesLike(listOf(text ?? ''));
    offers.set(metadata, offer);
    return offer;
  }
}

/** What a call needs, in words. */
export const inWords = ({ values }: Need): string =>
  [...values].map(([metadata, all]) => `${metadata} ${all.join(', ')}`).join(' and ');

const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

const readsCall = ({ from, when }: SubsetRule): boolean =>
  ['tool', 'model', 'method', 'needs'].includes(from ?? '') ||
  [when?.method, when?.tool, when?.model].some((patterns) => patterns !== undefined);

const NOTHING: readonly string[] = [];

function readerOf(rule: SubsetRule): Read {
  const { from, value, when } = rule;
  const read: Read = from === undefined ? always(value ?? []) : sourceOf(from);
  if (!when) return read;
  const isCall = callMatcher(when);
  const isPath = when.path === undefined ? () => true : namesLike([when.path].flat());
  const asksCall = readsCall({ ...rule, from: undefined });
  return (exchange) =>
    isPath(pathOf(exchange)) && (!asksCall || isCall(exchange.call)) ? read(exchange) : NOTHING;
}

const always = (value: string | readonly string[]): Read => {
  const values = typeof value === 'string' ? [value] : value;
  return () => values;
};

function sourceOf(from: string): Read {
  const [kind = '', where = ''] = from.split(':');
  const header = where.toLowerCase();
  switch (kind) {
    case 'header':
      return ({ request }) => headerValues(request.headers, header).flatMap(listOf);
    case 'path':
      return (exchange) => one(pathOf(exchange).split('/')[Number(where) + 1]);
    case 'tool':
      return ({ call }) => one(call.tool);
    case 'model':
      return ({ call }) => one(call.model);
    case 'method':
      return ({ call }) => one(call.operation);
    case 'needs':
      return ({ call }) => call.needs;
    default:
      return ({ agentId }) => one(agentId);
  }
}

const one = (value: string | undefined): readonly string[] => (value ? [value] : NOTHING);

const pathOf = ({ request }: Exchange): string => request.target.split(/[?#]/, 1)[0] as string;
