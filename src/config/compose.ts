/**
 * Parser events to a tree with places. Our own composer, so that aliases, duplicate keys and tags are bounded and
 * reported here, with the position of each.
 */
import type { Finding } from './finding.ts';
import type { Path } from './path.ts';
import type { SourceText } from './source-text.ts';
import type { ListNode, MapEntry, MapNode, Place, ScalarNode, TreeNode } from './tree.ts';
import { coreValue, scalarText, taggedValue, YAML_EVENT, YAML_STYLE } from './yaml.ts';
import type { YamlEvent, YamlScalarEvent } from './yaml.ts';

export interface ParseLimits {
  /** Nested maps and lists. Default 64. */
  readonly maxDepth: number;
  /** Uses of `*name`. Default 200. */
  readonly maxAliases: number;
  /** Values after all aliases are followed: the guard against "billion laughs". Default 100 000. */
  readonly maxNodes: number;
}

export const DEFAULT_PARSE_LIMITS: ParseLimits = { maxDepth: 64, maxAliases: 200, maxNodes: 100_000 };

export interface Parsed {
  /** Undefined when the text is no single map. */
  readonly root: MapNode | undefined;
  readonly findings: readonly Finding[];
}

/** A place in a text, by offsets. */
export const placeIn = (source: SourceText, start: number, end = start): Place => ({
  kind: 'file',
  span: { source, start, end },
});

/** Where an event starts in its text. */
export function offsetOf(event: YamlEvent | undefined): number {
  if (!event) return 0;
  if (event.type === YAML_EVENT.SCALAR) return Math.max(0, event.valueStart);
  if (event.type === YAML_EVENT.SEQUENCE || event.type === YAML_EVENT.MAPPING) return event.start;
  return event.type === YAML_EVENT.ALIAS ? event.anchorStart - 1 : 0;
}

interface Anchor {
  /** Undefined while the anchored value is still open: an alias to it would be a cycle. */
  node: TreeNode | undefined;
  size: number;
}

/** Stops composing: what follows would only repeat the cause. */
class LimitReached extends Error {}

/** Composes the first document of the events. */
export class Composer {
  readonly #source: SourceText;
  readonly #events: readonly YamlEvent[];
  readonly #limits: ParseLimits;
  readonly #anchors = new Map<string, Anchor>();
  readonly #findings: Finding[] = [];
  #next = 1;
  #nodes = 0;
  #aliases = 0;

  constructor(source: SourceText, events: readonly YamlEvent[], limits: ParseLimits) {
    this.#source = source;
    this.#events = events;
    this.#limits = limits;
  }

  compose(): Parsed {
    try {
      const root = this.#node([], 0);
      return { root: root.kind === 'map' ? root : undefined, findings: this.#findings };
    } catch (error) {
      if (!(error instanceof LimitReached)) throw error;
      return { root: undefined, findings: this.#findings };
    }
  }

  /** @param near where an empty value is said to be */
  #node(path: Path, near: number): TreeNode {
    const event = this.#take();
    if (event.type === YAML_EVENT.ALIAS) return this.#alias(event, path);
    const before = this.#nodes;
    this.#count(1, offsetOf(event), path);
    const anchor = this.#openAnchor(event);
    const node = this.#content(event, path, near);
    if (anchor) Object.assign(anchor, { node, size: this.#nodes - before });
    return node;
  }

  #content(event: YamlEvent, path: Path, near: number): TreeNode {
    if (event.type === YAML_EVENT.MAPPING) return this.#map(event, path);
    if (event.type === YAML_EVENT.SEQUENCE) return this.#list(event, path);
    return this.#scalar(event as YamlScalarEvent, path, near);
  }

  #map(event: YamlEvent & { start: number; tagStart: number; tagEnd: number }, path: Path): MapNode {
    this.#checkTag(event, '!!map', path);
    const entries = new Map<string, MapEntry>();
    const merges: TreeNode[] = [];
    while (this.#peek().type !== YAML_EVENT.POP) {
      const keyEvent = this.#peek();
      const key = this.#key(path);
      const childPath = key === undefined ? path : [...path, key];
      const value = this.#node(childPath, offsetOf(keyEvent));
      if (key === undefined) continue;
      const place = this.#keyPlace(keyEvent);
      if (key === '<<' && isPlain(keyEvent)) merges.push(...this.#mergeSources(value, place, path));
      else this.#addEntry(entries, key, { keyPlace: place, node: value }, path);
    }
    const end = this.#take();
    for (const source of merges) this.#mergeInto(entries, source, path, offsetOf(end));
    return { kind: 'map', entries, place: placeIn(this.#source, event.start) };
  }

  #addEntry(entries: Map<string, MapEntry>, key: string, entry: MapEntry, path: Path): void {
    const earlier = entries.get(key);
    if (key === '__proto__') this.#report(entry.keyPlace, path, 'the key __proto__ is not allowed');
    else if (earlier) {
      const span = earlier.keyPlace.kind === 'file' ? earlier.keyPlace.span : undefined;
      const line = span ? span.source.positionOf(span.start).line : 0;
      this.#report(entry.keyPlace, [...path, key], `duplicate key: it is already given in line ${line}`);
    } else entries.set(key, entry);
  }

  /** @returns undefined (reported) for a key that is no scalar */
  #key(path: Path): string | undefined {
    const event = this.#peek();
    if (event.type === YAML_EVENT.SCALAR && event.valueStart >= 0) {
      this.#take();
      const anchor = this.#openAnchor(event);
      if (anchor) anchor.node = this.#scalar(event, path, 0);
      return scalarText(this.#source.text, event);
    }
    if (event.type === YAML_EVENT.ALIAS) {
      const node = this.#node(path, 0);
      if (node.kind === 'scalar') return node.text;
    } else this.#node(path, offsetOf(event));
    this.#report(placeIn(this.#source, offsetOf(event)), path, 'expected a string as key');
    return undefined;
  }

  #keyPlace(event: YamlEvent): Place {
    if (event.type === YAML_EVENT.SCALAR) return this.#scalarPlace(event, 0);
    return placeIn(this.#source, offsetOf(event));
  }

  #mergeSources(value: TreeNode, place: Place, path: Path): readonly TreeNode[] {
    const sources = value.kind === 'list' ? value.items : [value];
    if (sources.every(({ kind }) => kind === 'map')) return sources;
    this.#report(place, path, 'expected a map, or a list of maps, to merge with <<');
    return [];
  }

  #mergeInto(entries: Map<string, MapEntry>, source: TreeNode, path: Path, offset: number): void {
    if (source.kind !== 'map') return;
    this.#count(source.entries.size, offset, path);
    for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry);
  }

  #list(event: YamlEvent & { start: number; tagStart: number; tagEnd: number }, path: Path): ListNode {
    this.#checkTag(event, '!!seq', path);
    const items: TreeNode[] = [];
    while (this.#peek().type !== YAML_EVENT.POP) items.push(this.#node([...path, items.length], event.start));
    this.#take();
    return { kind: 'list', items, place: placeIn(this.#source, event.start) };
  }

  #scalar(event: YamlScalarEvent, path: Path, near: number): ScalarNode {
    const text = scalarText(this.#source.text, event);
    const place = this.#scalarPlace(event, near);
    const plain = event.style === YAML_STYLE.PLAIN;
    if (event.tagStart < 0)
      return { kind: 'scalar', value: plain ? coreValue(text) : text, text, plain, place };
    const value = taggedValue(this.#source.text.slice(event.tagStart, event.tagEnd), text);
    if (value === undefined)
      this.#report(
        placeIn(this.#source, event.tagStart),
        path,
        'the tag is unknown, or does not fit the value',
      );
    return { kind: 'scalar', value: value ?? null, text, plain: false, place };
  }

  #scalarPlace(event: YamlScalarEvent, near: number): Place {
    const { valueStart, valueEnd, style } = event;
    if (valueStart < 0) return placeIn(this.#source, near);
    if (style === YAML_STYLE.SINGLE_QUOTED || style === YAML_STYLE.DOUBLE_QUOTED)
      return placeIn(this.#source, valueStart - 1, valueEnd + 1);
    if (style === YAML_STYLE.PLAIN) return placeIn(this.#source, valueStart, valueEnd);
    // A block scalar starts, for people, at its | or > in the line above its text.
    const header = this.#source.lineAround(valueStart - 1);
    const mark = /[|>][-+\d]*[ \t]*(?:#.*)?$/.exec(header.text);
    return placeIn(this.#source, mark ? header.start + mark.index : valueStart, valueEnd);
  }

  #alias(event: YamlEvent & { anchorStart: number; anchorEnd: number }, path: Path): TreeNode {
    const place = placeIn(this.#source, event.anchorStart - 1, event.anchorEnd);
    const anchor = this.#anchors.get(this.#source.text.slice(event.anchorStart, event.anchorEnd));
    if (++this.#aliases > this.#limits.maxAliases)
      this.#stop(place, path, `more than ${this.#limits.maxAliases} aliases`);
    if (anchor?.node) {
      this.#count(anchor.size, event.anchorStart - 1, path);
      return anchor.node;
    }
    this.#report(
      place,
      path,
      anchor ? 'the alias stands inside the value it names: a cycle' : 'the alias has no anchor before it',
    );
    return { kind: 'scalar', value: null, text: '', plain: true, failed: true, place };
  }

  #openAnchor(event: YamlEvent): Anchor | undefined {
    if (!('anchorStart' in event) || event.anchorStart < 0) return undefined;
    const anchor: Anchor = { node: undefined, size: 1 };
    this.#anchors.set(this.#source.text.slice(event.anchorStart, event.anchorEnd), anchor);
    return anchor;
  }

  #checkTag(event: { tagStart: number; tagEnd: number }, expected: string, path: Path): void {
    const tag = event.tagStart < 0 ? '!' : this.#source.text.slice(event.tagStart, event.tagEnd);
    if (tag !== '!' && tag !== expected)
      this.#report(placeIn(this.#source, event.tagStart), path, 'the tag is unknown here');
  }

  #count(nodes: number, offset: number, path: Path): void {
    this.#nodes += nodes;
    if (this.#nodes > this.#limits.maxNodes)
      this.#stop(
        placeIn(this.#source, offset),
        path,
        `more than ${this.#limits.maxNodes} values, aliases followed`,
      );
  }

  #report(place: Place, path: Path, message: string): void {
    this.#findings.push({ place, path, message });
  }

  #stop(place: Place, path: Path, message: string): never {
    this.#report(place, path, message);
    throw new LimitReached();
  }

  #peek(): YamlEvent {
    return this.#events[this.#next] ?? { type: YAML_EVENT.POP };
  }

  #take(): YamlEvent {
    const event = this.#peek();
    this.#next += 1;
    return event;
  }
}

const isPlain = (event: YamlEvent): boolean =>
  event.type === YAML_EVENT.SCALAR && event.style === YAML_STYLE.PLAIN && event.tagStart < 0;
