/**
 * The last layers: environment variables such as `OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY__MAX_RETRIES=3`, then
 * `--set upstreams.openai.policies.retry.maxRetries=3`. Both name one place of the tree and lay one value over it.
 */
import type { Finding } from './finding.ts';
import { isNull, mergeTrees } from './merge.ts';
import { parseYaml } from './parse.ts';
import { formatPath, parsePath } from './path.ts';
import type { Path } from './path.ts';
import type { SchemaView } from './schema-view.ts';
import { SourceText } from './source-text.ts';
import { closest, plainSpelling } from './suggest.ts';
import { childOf } from './tree.ts';
import type { MapEntry, MapNode, Place, TreeNode } from './tree.ts';
import { coreValue } from './yaml.ts';

export const ENV_PREFIX = 'OUTRIGGER__';

export interface Overridden {
  readonly root: MapNode;
  readonly findings: readonly Finding[];
}

/** How one kind of override is written. */
interface Dialect {
  /** How a known key would be written as a segment. */
  readonly spell: (key: string) => string;
  /** A record may get a name it does not have yet. Not from the environment, where the name's case is lost. */
  readonly newNames: boolean;
}

const ENV: Dialect = {
  spell: (key) =>
    key
      .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
      .replaceAll('-', '_')
      .toUpperCase(),
  newNames: false,
};
const FLAG: Dialect = { spell: (key) => key, newNames: true };

/** Applied in the order of their names, so that a section comes before what is in it. Empty values count as not set. */
export function applyEnv(
  root: MapNode,
  env: Readonly<Record<string, string | undefined>>,
  view: SchemaView,
): Overridden {
  const findings: Finding[] = [];
  let tree = root;
  for (const name of Object.keys(env).sort()) {
    const value = env[name];
    if (!name.startsWith(ENV_PREFIX) || value === undefined || value === '') continue;
    const segments = name.slice(ENV_PREFIX.length).split('__');
    tree = applyOne(tree, { segments, value, place: { kind: 'env', name }, dialect: ENV }, view, findings);
  }
  return { root: tree, findings };
}

/** @param sets `path=value`, in the order given */
export function applySets(root: MapNode, sets: readonly string[], view: SchemaView): Overridden {
  const findings: Finding[] = [];
  let tree = root;
  for (const set of sets) {
    const equals = set.indexOf('=');
    const segments = equals > 0 ? parsePath(set.slice(0, equals).trim()) : undefined;
    if (!segments) {
      // What was written may hold a secret, so it is not repeated.
      findings.push({
        place: { kind: 'flag', text: '--set' },
        path: [],
        message: 'expected --set path=value',
      });
      continue;
    }
    const place: Place = { kind: 'flag', text: `--set ${formatPath(segments)}` };
    tree = applyOne(tree, { segments, value: set.slice(equals + 1), place, dialect: FLAG }, view, findings);
  }
  return { root: tree, findings };
}

interface Override {
  readonly segments: Path;
  readonly value: string;
  readonly place: Place;
  readonly dialect: Dialect;
}

function applyOne(root: MapNode, override: Override, view: SchemaView, findings: Finding[]): MapNode {
  const target = resolveTarget(root, override, view);
  if ('message' in target) {
    findings.push(target);
    return root;
  }
  const value = readValue(override.value, target.view, override.place);
  if ('message' in value) {
    findings.push({ ...value, path: target.path });
    return root;
  }
  return layAt(root, target.path, value, override.place) as MapNode;
}

/** Turns segments as written into the keys they mean. */
function resolveTarget(
  root: MapNode,
  override: Override,
  rootView: SchemaView,
): Finding | { readonly path: Path; readonly view: SchemaView } {
  const path: (string | number)[] = [];
  let node: TreeNode | undefined = root;
  let view = rootView;
  for (const segment of override.segments) {
    const step = resolveStep(node, view, segment, override.dialect);
    if (typeof step === 'object') return { place: override.place, path, message: step.reason };
    path.push(step);
    node = node && childOf(node, step);
    view = view.child(step);
  }
  return { path, view };
}

function resolveStep(
  node: TreeNode | undefined,
  view: SchemaView,
  segment: string | number,
  dialect: Dialect,
): string | number | { readonly reason: string } {
  if (node?.kind === 'list' || (view.acceptsList && /^\d+$/.test(String(segment))))
    return resolveIndex(node?.kind === 'list' ? node.items.length : 0, segment);
  const existing = node?.kind === 'map' ? [...node.entries.keys()] : [];
  const candidates = [...new Set([...existing, ...view.keys])];
  const word = String(segment);
  if (candidates.includes(word)) return word;
  const matches = candidates.filter((key) => plainSpelling(key) === plainSpelling(word));
  if (matches.length === 1) return matches[0] ?? word;
  if (matches.length > 1) return { reason: `${JSON.stringify(word)} may mean ${matches.join(' or ')}` };
  if (dialect.newNames && view.hasFreeKeys && word !== '__proto__') return word;
  return { reason: unknownSegment(word, candidates, dialect) };
}

function unknownSegment(word: string, candidates: readonly string[], dialect: Dialect): string {
  const guess = closest(word, candidates);
  const hint = guess === undefined ? '' : `; did you mean ${JSON.stringify(dialect.spell(guess))}?`;
  return `there is no ${JSON.stringify(word)} here${hint}`;
}

/** An index may name an entry or the place right behind the last one. */
function resolveIndex(length: number, segment: string | number): number | { readonly reason: string } {
  const index = /^\d{1,6}$/.test(String(segment)) ? Number(segment) : -1;
  if (index < 0)
    return { reason: `expected the number of a list entry, got ${JSON.stringify(String(segment))}` };
  if (index > length) return { reason: `the list has ${length} entries, so ${index} is beyond its end` };
  return index;
}

/**
 * `{…}` and `[…]` are YAML where a map or list fits, quoted text is unquoted, everything else is one plain scalar whose
 * type the schema decides: keys such as `12345` or `[abc` stay text where text is expected.
 */
function readValue(text: string, view: SchemaView, place: Place): TreeNode | Finding {
  const trimmed = text.trim();
  const structured =
    (view.acceptsMap && trimmed.startsWith('{')) || (view.acceptsList && trimmed.startsWith('['));
  if (structured || /^(["']).*\1$/s.test(trimmed)) {
    const parsed = parseYaml(new SourceText('', `value: ${trimmed}`));
    const node = parsed.root?.entries.get('value')?.node;
    if (node && parsed.findings.length === 0) return placeAt(node, place);
    if (structured) return { place, path: [], message: 'the value is not valid YAML' };
  }
  const typed = coreValue(trimmed);
  const value = typeof typed === 'string' ? text : typed;
  return { kind: 'scalar', value, text, plain: true, untyped: true, place };
}

/** Everything in an override's value comes from the override. */
function placeAt(node: TreeNode, place: Place): TreeNode {
  if (node.kind === 'scalar') return { ...node, place };
  if (node.kind === 'list') return { ...node, place, items: node.items.map((item) => placeAt(item, place)) };
  const entries = new Map<string, MapEntry>();
  for (const [key, entry] of node.entries)
    entries.set(key, { keyPlace: place, node: placeAt(entry.node, place) });
  return { ...node, place, entries };
}

/** Lays `value` over what is at `path`, creating maps on the way; a scalar on the way gives way to a map. */
function layAt(node: TreeNode | undefined, path: Path, value: TreeNode, place: Place): TreeNode {
  const [segment, ...rest] = path;
  if (segment === undefined) {
    if (isNull(value)) return { ...value, deletes: true };
    return node ? mergeTrees(node, value, { nullDeletes: 'always' }) : value;
  }
  const child = layAt(node && childOf(node, segment), rest, value, place);
  if (typeof segment === 'number') {
    const items = node?.kind === 'list' ? [...node.items] : [];
    items[segment] = child;
    return { kind: 'list', place, ...(node?.kind === 'list' && { place: node.place }), items };
  }
  const entries = new Map<string, MapEntry>(node?.kind === 'map' ? node.entries : []);
  entries.set(segment, { keyPlace: entries.get(segment)?.keyPlace ?? place, node: child });
  return { kind: 'map', place, ...(node?.kind === 'map' && { place: node.place }), entries };
}
