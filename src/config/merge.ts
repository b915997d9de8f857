/**
 * Lays one tree over another. Maps merge; lists replace, unless every entry on both sides is a map with a text `name`,
 * then they merge by name; scalars replace; null deletes.
 */
import type { ListNode, MapEntry, MapNode, ScalarNode, TreeNode } from './tree.ts';

export interface MergeOptions {
  /**
   * `always`: a null in the upper tree is a deletion even where there is nothing to delete (layers: the key may come
   * from `defaults` later). `present`: only where the lower tree has the key; any other null is left for validation.
   */
  readonly nullDeletes: 'always' | 'present';
}

/** Later layers win. */
export function mergeTrees<T extends TreeNode>(lower: T, upper: T, options: MergeOptions): T;
export function mergeTrees(lower: TreeNode, upper: TreeNode, options: MergeOptions): TreeNode {
  if (lower.kind === 'map' && upper.kind === 'map') return mergeMaps(lower, upper, options);
  if (lower.kind === 'list' && upper.kind === 'list') return mergeLists(lower, upper, options);
  return upper;
}

function mergeMaps(lower: MapNode, upper: MapNode, options: MergeOptions): MapNode {
  const entries = new Map<string, MapEntry>(lower.entries);
  for (const [key, entry] of upper.entries) {
    const below = lower.entries.get(key);
    entries.set(key, { ...entry, node: mergeValue(below?.node, entry.node, options) });
  }
  // A map that both sides have is told from the entry, not from the defaults below it.
  return { ...(lower.viaDefaults ? upper : lower), entries };
}

function mergeValue(below: TreeNode | undefined, above: TreeNode, options: MergeOptions): TreeNode {
  if (isNull(above)) return options.nullDeletes === 'always' || below ? { ...above, deletes: true } : above;
  return below ? mergeTrees(below, above, options) : above;
}

export const isNull = (node: TreeNode): node is ScalarNode =>
  node.kind === 'scalar' && node.value === null && !node.interpolated;

function mergeLists(lower: ListNode, upper: ListNode, options: MergeOptions): ListNode {
  const below = byName(lower);
  const above = byName(upper);
  if (!below || !above) return upper;
  const merged = new Map<string, TreeNode>(below);
  for (const [name, item] of above) merged.set(name, mergeValue(below.get(name), item, options));
  return { ...upper, items: [...merged.values()] };
}

/** Undefined unless the list has entries, all are maps with a text `name`, and the names differ. */
function byName(list: ListNode): Map<string, TreeNode> | undefined {
  const named = new Map<string, TreeNode>();
  for (const item of list.items) {
    const name = item.kind === 'map' ? item.entries.get('name')?.node : undefined;
    if (name?.kind !== 'scalar' || typeof name.value !== 'string' || named.has(name.value)) return undefined;
    named.set(name.value, item);
  }
  return named.size > 0 ? named : undefined;
}
