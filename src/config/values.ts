/** From the tree to the plain values that the schema reads: what is left out, and which type an untyped scalar has. */
import type { SchemaView } from './schema-view.ts';
import type { MapEntry, MapNode, Scalar, ScalarNode, TreeNode } from './tree.ts';
import { coreValue } from './yaml.ts';

const ESCAPE_KEY = /^x-/;

/**
 * Removes deleted keys, and `x-…` keys where the schema has fixed names: they are for people, anchors and other tools.
 * Where names are free (headers, upstream names) an `x-…` key is a name like any other.
 */
export function prune(node: MapNode, view: SchemaView): MapNode;
export function prune(node: TreeNode, view: SchemaView): TreeNode;
export function prune(node: TreeNode, view: SchemaView): TreeNode {
  if (node.kind === 'scalar') return node;
  if (node.kind === 'list') {
    const kept = node.items.filter((item) => !isDeleted(item));
    return { ...node, items: kept.map((item, index) => prune(item, view.child(index))) };
  }
  const fixedNames = !view.hasFreeKeys;
  const entries = new Map<string, MapEntry>();
  for (const [key, entry] of node.entries) {
    if (isDeleted(entry.node)) continue;
    if (fixedNames && ESCAPE_KEY.test(key) && !view.child(key).known) continue;
    entries.set(key, { ...entry, node: prune(entry.node, view.child(key)) });
  }
  return { ...node, entries };
}

const isDeleted = (node: TreeNode): boolean => node.kind === 'scalar' && node.deletes === true;

/** The input of the schema. */
export function toPlain(node: TreeNode, view: SchemaView): unknown {
  if (node.kind === 'scalar') return scalarValue(node, view);
  if (node.kind === 'list') return node.items.map((item, index) => toPlain(item, view.child(index)));
  const plain: Record<string, unknown> = {};
  for (const [key, entry] of node.entries) plain[key] = toPlain(entry.node, view.child(key));
  return plain;
}

/**
 * Interpolated and overriding scalars carry no type: `3` is a number where the schema takes one and a text where it
 * takes only texts, so that an API key of digits stays what it is.
 */
export function scalarValue(node: ScalarNode, view: SchemaView): Scalar {
  if (!node.untyped) return node.value;
  const text = typeof node.value === 'string' ? node.value : node.text;
  const typed = coreValue(text.trim());
  if (typeof typed === 'string') return text;
  const takesText = view.accepts(text);
  if (view.accepts(typed)) return takesText && !node.plain ? text : typed;
  return takesText ? text : typed;
}
