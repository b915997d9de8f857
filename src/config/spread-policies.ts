/**
 * Lays an upstream's policies under those of its overrides, before validation: who writes `retry: { maxRetries: 5 }` for
 * some calls keeps everything else that was said of retries.
 */
import { UPSTREAMS_KEY } from './defaults.ts';
import { mergeTrees } from './merge.ts';
import type { MapEntry, MapNode, TreeNode } from './tree.ts';

export function spreadPolicies(root: MapNode): MapNode {
  return mapEntry(root, UPSTREAMS_KEY, (upstreams) => mapEach(upstreams, withSpread));
}

function withSpread(upstream: MapNode): MapNode {
  const policies = upstream.entries.get('policies')?.node;
  if (policies?.kind !== 'map') return upstream;
  return mapEntry(upstream, 'overrides', (overrides) =>
    mapEach(overrides, (override) => mapEntry(override, 'policies', (own) => under(policies, own))),
  );
}

/** Only what the override names: everything else is shared, not repeated. */
function under(policies: MapNode, own: MapNode): MapNode {
  const entries = new Map<string, MapEntry>();
  for (const [key, entry] of own.entries) {
    const below = policies.entries.get(key)?.node;
    // What the upstream switches off, no preset's override switches on again.
    if (below && isFalse(below) && entry.node.viaDefaults && !below.viaDefaults) continue;
    const node = below ? mergeTrees(below, entry.node, { nullDeletes: 'present' }) : entry.node;
    entries.set(key, { ...entry, node });
  }
  return { ...own, entries };
}

const isFalse = (node: TreeNode): boolean => node.kind === 'scalar' && node.value === false;

function mapEntry(map: MapNode, key: string, change: (node: MapNode) => MapNode): MapNode {
  const entry = map.entries.get(key);
  if (entry?.node.kind !== 'map') return map;
  const entries = new Map(map.entries);
  entries.set(key, { ...entry, node: change(entry.node) });
  return { ...map, entries };
}

function mapEach(map: MapNode, change: (node: MapNode) => MapNode): MapNode {
  const entries = new Map<string, MapEntry>();
  for (const [key, entry] of map.entries)
    entries.set(key, entry.node.kind === 'map' ? { ...entry, node: change(entry.node) } : entry);
  return { ...map, entries };
}
