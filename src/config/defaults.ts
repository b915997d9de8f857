/**
 * The `defaults` section: everything under it lies below each entry of `upstreams`, before validation, so that the
 * schema only ever sees complete upstreams. The entry wins, also `false` over a map and a map over `false`; null in the
 * entry takes the default away.
 */
import { mismatch } from './finding.ts';
import type { Finding } from './finding.ts';
import { isNull, mergeTrees } from './merge.ts';
import type { Path } from './path.ts';
import type { SchemaView } from './schema-view.ts';
import type { MapEntry, MapNode, Place, TreeNode } from './tree.ts';

export const DEFAULTS_KEY = 'defaults';
export const UPSTREAMS_KEY = 'upstreams';

/** Any key works: all entries of `upstreams` share one schema. */
const ANY_UPSTREAM = '*';

/** The schema's view with `defaults` as a section shaped like an upstream, unless the schema has its own. */
export function withDefaultsSection(view: SchemaView): SchemaView {
  if (view.keys.includes(DEFAULTS_KEY) || !view.keys.includes(UPSTREAMS_KEY)) return view;
  return view.with(DEFAULTS_KEY, view.child(UPSTREAMS_KEY).child(ANY_UPSTREAM));
}

/** Upstreams times defaults, in values: the guard against a small text that becomes a huge configuration. */
const MAX_SPREAD_NODES = 200_000;

export interface DefaultsApplied {
  /** Without the section, unless the schema knows it. */
  readonly root: MapNode;
  /** The section by itself, marked, when no upstream took it: to be checked alone. */
  readonly unused: MapNode | undefined;
  readonly findings: readonly Finding[];
}

/** @param keepSection the schema has a `defaults` key of its own */
export function applyDefaults(root: MapNode, keepSection: boolean): DefaultsApplied {
  const section = root.entries.get(DEFAULTS_KEY);
  if (!section) return { root, unused: undefined, findings: [] };
  const entries = new Map<string, MapEntry>(root.entries);
  if (!keepSection) entries.delete(DEFAULTS_KEY);
  const without = { ...root, entries };
  if (section.node.kind !== 'map')
    return { root: without, unused: undefined, findings: notAMap(section.node) };
  const upstreams = root.entries.get(UPSTREAMS_KEY);
  if (upstreams?.node.kind !== 'map')
    return { root: without, unused: markDefaults(section.node), findings: [] };
  if (countNodes(section.node) * upstreams.node.entries.size > MAX_SPREAD_NODES)
    return { root: without, unused: undefined, findings: [tooLarge(section.keyPlace)] };
  const defaults = markDefaults(section.node);
  const { node, taken } = spread(defaults, upstreams.node);
  entries.set(UPSTREAMS_KEY, { ...upstreams, node });
  return { root: without, unused: taken > 0 ? undefined : defaults, findings: [] };
}

/** An empty section (`defaults:` with everything commented out) is no mistake. */
function notAMap(node: TreeNode): readonly Finding[] {
  if (isNull(node)) return [];
  const got = node.kind === 'list' ? 'a list' : 'a single value';
  return [mismatch({ place: node.place, path: [DEFAULTS_KEY] }, 'a map', got)];
}

const tooLarge = (place: Place): Finding => ({
  place,
  path: [DEFAULTS_KEY],
  message: `more than ${MAX_SPREAD_NODES} values once every upstream has the defaults`,
});

function countNodes(node: TreeNode): number {
  let count = 1;
  if (node.kind === 'list') for (const item of node.items) count += countNodes(item);
  if (node.kind === 'map') for (const entry of node.entries.values()) count += countNodes(entry.node);
  return count;
}

function spread(defaults: MapNode, upstreams: MapNode): { node: MapNode; taken: number } {
  const entries = new Map<string, MapEntry>();
  let taken = 0;
  for (const [name, entry] of upstreams.entries) {
    if (entry.node.kind !== 'map') entries.set(name, entry);
    else {
      entries.set(name, { ...entry, node: mergeTrees(defaults, entry.node, { nullDeletes: 'present' }) });
      taken += 1;
    }
  }
  return { node: { ...upstreams, entries }, taken };
}

export function markDefaults<T extends TreeNode>(node: T): T;
export function markDefaults(node: TreeNode): TreeNode {
  if (node.kind === 'scalar') return { ...node, viaDefaults: true };
  if (node.kind === 'list')
    return { ...node, viaDefaults: true, items: node.items.map((item) => markDefaults(item)) };
  const entries = new Map<string, MapEntry>();
  for (const [key, entry] of node.entries) entries.set(key, { ...entry, node: markDefaults(entry.node) });
  return { ...node, viaDefaults: true, entries };
}

/** `upstreams.openai.policies.retry` told from the section it came from: `defaults.policies.retry`. */
export function pathInDefaults(path: Path): Path {
  return path[0] === UPSTREAMS_KEY && path.length >= 2 ? [DEFAULTS_KEY, ...path.slice(2)] : path;
}
