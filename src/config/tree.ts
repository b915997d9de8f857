/**
 * The configuration between text and values: maps, lists and scalars that know where they were written. Layers,
 * defaults and interpolation work on it, so that every later message and `explain` can name the origin.
 */
import type { Path } from './path.ts';
import type { SourceText } from './source-text.ts';

/** A stretch of a text, in UTF-16 offsets, end exclusive. */
export interface Span {
  readonly source: SourceText;
  readonly start: number;
  readonly end: number;
}

/** Where something was written. Lines and columns are worked out only when somebody asks. */
export type Place =
  | { readonly kind: 'file'; readonly span: Span }
  | { readonly kind: 'env'; readonly name: string }
  /** `text` is the flag and its path, never its value. */
  | { readonly kind: 'flag'; readonly text: string };

interface NodeBase {
  readonly place: Place;
  /** Came from the `defaults` section. */
  readonly viaDefaults?: true;
}

export type Scalar = string | number | boolean | null;

export interface ScalarNode extends NodeBase {
  readonly kind: 'scalar';
  readonly value: Scalar;
  /** What was written, before interpolation and without quotes. */
  readonly text: string;
  /** Written without quotes. */
  readonly plain: boolean;
  /** The type is not known from the writing: the schema decides between text and number, boolean or null. */
  readonly untyped?: true;
  /** The value came (partly) out of `${…}`: print `text`, never the value. */
  readonly interpolated?: true;
  /** Interpolation failed and was reported; the value means nothing. */
  readonly failed?: true;
  /** A null that deletes what lies below it. */
  readonly deletes?: true;
}

export interface ListNode extends NodeBase {
  readonly kind: 'list';
  readonly items: readonly TreeNode[];
}

export interface MapEntry {
  readonly keyPlace: Place;
  readonly node: TreeNode;
}

export interface MapNode extends NodeBase {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, MapEntry>;
}

export type TreeNode = ScalarNode | ListNode | MapNode;

/** The merged configuration, interpolated, before validation turned it into values. */
export interface ConfigTree {
  readonly root: MapNode;
}

/** What lies under one key or index; undefined when there is nothing. */
export function childOf(node: TreeNode, segment: string | number): TreeNode | undefined {
  if (node.kind === 'map') return node.entries.get(String(segment))?.node;
  if (node.kind === 'list') return node.items[Number(segment)];
  return undefined;
}

export function nodeAt(root: TreeNode, path: Path): TreeNode | undefined {
  let node: TreeNode | undefined = root;
  for (const segment of path) {
    if (!node) return undefined;
    node = childOf(node, segment);
  }
  return node;
}

/** The places to blame for a path: the value where there is one, else the key of the closest map around it. */
export interface Located {
  readonly node: TreeNode | undefined;
  /** Of the value, or of the closest key or item above it. */
  readonly place: Place;
  /** Of the key that holds the value; of the item in a list. */
  readonly keyPlace: Place;
  readonly viaDefaults: boolean;
}

export function locate(root: TreeNode, path: Path): Located {
  let node: TreeNode = root;
  let keyPlace = root.place;
  for (const segment of path) {
    const child = childOf(node, segment);
    if (!child) return { node: undefined, place: keyPlace, keyPlace, viaDefaults: node.viaDefaults ?? false };
    keyPlace = (node.kind === 'map' ? node.entries.get(String(segment))?.keyPlace : undefined) ?? child.place;
    node = child;
  }
  return { node, place: node.place, keyPlace, viaDefaults: node.viaDefaults ?? false };
}
