/** Lays the preset that an upstream names under its settings and under the `defaults`, before validation. */
import { markDefaults, UPSTREAMS_KEY } from './defaults.ts';
import { mergeTrees } from './merge.ts';
import { parseYaml } from './parse.ts';
import { PRESETS } from './presets.ts';
import { SourceText } from './source-text.ts';
import type { MapEntry, MapNode } from './tree.ts';

/** Begins the name of the text that such a value came from. */
export const PRESET_SOURCE = 'preset ';

/** An unknown name is left for validation to report. */
export function applyPresets(root: MapNode): MapNode {
  const upstreams = root.entries.get(UPSTREAMS_KEY);
  if (upstreams?.node.kind !== 'map') return root;
  const entries = new Map<string, MapEntry>();
  for (const [name, entry] of upstreams.node.entries) entries.set(name, withPreset(entry));
  const all = new Map(root.entries);
  all.set(UPSTREAMS_KEY, { ...upstreams, node: { ...upstreams.node, entries } });
  return { ...root, entries: all };
}

function withPreset(entry: MapEntry): MapEntry {
  if (entry.node.kind !== 'map') return entry;
  const preset = presetTree(entry.node, entry.node.entries.has('discovery') ? ['endpoints'] : []);
  return preset ? { ...entry, node: mergeTrees(preset, entry.node, { nullDeletes: 'present' }) } : entry;
}

/** @param without what the upstream has in another way */
function presetTree(upstream: MapNode, without: readonly string[]): MapNode | undefined {
  const named = upstream.entries.get('preset')?.node;
  if (named?.kind !== 'scalar') return undefined;
  const name = String(named.value);
  if (!Object.hasOwn(PRESETS, name)) return undefined;
  const text = PRESETS[name as keyof typeof PRESETS];
  const { root } = parseYaml(new SourceText(`${PRESET_SOURCE}${name}`, text));
  if (!root) return undefined;
  const entries = new Map([...root.entries].filter(([key]) => !without.includes(key)));
  return markDefaults({ ...root, entries });
}
