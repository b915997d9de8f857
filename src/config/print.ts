/** The effective configuration for people: in the form it is written in, defaults filled in, secrets hidden. */
import { z } from 'zod';
import { DEFAULTS_KEY, withDefaultsSection } from './defaults.ts';
import type { LoadedConfig } from './load.ts';
import { formatOrigin, originOfPlace, sameOrigin } from './origins.ts';
import type { Origin } from './origins.ts';
import { parseYaml } from './parse.ts';
import { formatPath } from './path.ts';
import type { Path } from './path.ts';
import { HIDDEN, hideCredentials, isTemplated, printableScalar } from './redact.ts';
import { SchemaView } from './schema-view.ts';
import { SourceText } from './source-text.ts';
import { escapeTemplate } from './template.ts';
import { childOf, nodeAt } from './tree.ts';
import type { MapNode, Place, TreeNode } from './tree.ts';
import { dumpInline, dumpYaml } from './yaml.ts';

export interface PrintOptions {
  /** A comment behind every value that says where it came from. */
  readonly origins: boolean;
}

export interface EffectiveValue {
  readonly path: string;
  /** As it would be written in YAML, on one line; secrets hidden. */
  readonly value: string;
  readonly origin: Origin;
}

/** The whole configuration as YAML. `defaults` is left out, for it is already part of every upstream. */
export function printConfig<S extends z.ZodType>(
  schema: S,
  loaded: LoadedConfig<z.output<S>>,
  options: PrintOptions,
): string {
  const { value, leaves } = present(schema, loaded);
  const text = dumpYaml(value);
  return options.origins ? annotate(text, leaves) : text;
}

/** The values under `prefix`, in order; a list of scalars from one origin is one value. */
export function effectiveValues<S extends z.ZodType>(
  schema: S,
  loaded: LoadedConfig<z.output<S>>,
  prefix: Path,
): readonly EffectiveValue[] {
  return present(schema, loaded)
    .leaves.filter(({ path }) => prefix.every((segment, index) => String(path[index]) === String(segment)))
    .map(({ path, value, origin }) => ({ path: formatPath(path), value: dumpInline(value), origin }));
}

interface Leaf {
  readonly path: Path;
  readonly value: unknown;
  readonly origin: Origin;
}

interface Presented {
  readonly value: unknown;
  readonly leaves: readonly Leaf[];
}

function present<S extends z.ZodType>(schema: S, loaded: LoadedConfig<z.output<S>>): Presented {
  const presenter = new Presenter();
  const view = withDefaultsSection(SchemaView.of(schema));
  const written = writtenForm(schema, loaded.config);
  const value = presenter.value(withoutDefaults(written), {
    node: loaded.tree.root,
    view,
    path: [],
    decoded: loaded.config,
  });
  return { value, leaves: presenter.leaves };
}

/** Back to what one would write: `250ms` for 250. Schemas that cannot go back are shown decoded. */
function writtenForm(schema: z.ZodType, config: unknown): unknown {
  try {
    return z.encode(schema, config);
  } catch {
    return config;
  }
}

function withoutDefaults(written: unknown): unknown {
  if (!isRecord(written)) return written;
  return Object.fromEntries(Object.entries(written).filter(([key]) => key !== DEFAULTS_KEY));
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is known about one place while it is being presented. */
interface Spot {
  readonly node: TreeNode | undefined;
  readonly view: SchemaView;
  readonly path: Path;
  /** The same place of the decoded configuration. */
  readonly decoded: unknown;
}

const below = (spot: Spot, segment: string | number): Spot => ({
  node: spot.node && childOf(spot.node, segment),
  view: spot.view.child(segment),
  path: [...spot.path, segment],
  decoded:
    typeof spot.decoded === 'object'
      ? (spot.decoded as Record<string, unknown> | null)?.[segment]
      : undefined,
});

class Presenter {
  readonly leaves: Leaf[] = [];

  value(written: unknown, spot: Spot): unknown {
    if (Array.isArray(written) && written.length > 0) return this.#list(written, spot);
    if (isRecord(written) && Object.keys(written).length > 0) return this.#map(written, spot);
    const value = printable(written, spot);
    this.leaves.push({ path: spot.path, value, origin: originOf(spot.node) });
    return value;
  }

  #map(written: Record<string, unknown>, spot: Spot): unknown {
    const entries = Object.entries(written).filter(([, value]) => value !== undefined);
    return Object.fromEntries(entries.map(([key, value]) => [key, this.value(value, below(spot, key))]));
  }

  #list(written: readonly unknown[], spot: Spot): unknown {
    const leavesBefore = this.leaves.length;
    const items = written.map((item, index) => this.value(item, below(spot, index)));
    if (isFlat(spot.node, items)) {
      this.leaves.length = leavesBefore;
      this.leaves.push({ path: spot.path, value: items, origin: originOf(spot.node) });
    }
    return items;
  }
}

/** Scalars only, and all from where the list is from. */
function isFlat(node: TreeNode | undefined, items: readonly unknown[]): boolean {
  if (items.some((item) => typeof item === 'object' && item !== null)) return false;
  return node?.kind !== 'list' || node.items.every((item) => sameOrigin(item.place, node.place));
}

const originOf = (node: TreeNode | undefined): Origin =>
  node ? originOfPlace(node.place, node.viaDefaults ?? false) : { kind: 'default' };

function printable(written: unknown, { node, view, decoded }: Spot): unknown {
  if (typeof written === 'object' && written !== null) return written;
  if (node?.kind === 'scalar') {
    const shown = printableScalar(node, view.secret);
    if (isTemplated(node) || shown === HIDDEN) return shown;
    return typeof shown === 'string' && typeof written === 'string' ? escapeTemplate(shown) : written;
  }
  if (view.secret) return HIDDEN;
  if (typeof written !== 'string') return written;
  // A text that decodes to a number carries a unit.
  return typeof decoded === 'number' ? largestUnit(written) : escapeTemplate(hideCredentials(written));
}

const LARGER: Readonly<Record<string, readonly [factor: number, unit: string]>> = {
  ms: [1_000, 's'],
  s: [60, 'm'],
  m: [60, 'h'],
  B: [1_024, 'KiB'],
  KiB: [1_024, 'MiB'],
  MiB: [1_024, 'GiB'],
};

/** `60000ms` is `1m`; only exact steps are taken. */
function largestUnit(text: string): string {
  const match = /^(\d+)([A-Za-z]+)$/.exec(text);
  const amount = Number(match?.[1]);
  const larger = LARGER[match?.[2] ?? ''];
  if (!larger || amount === 0 || amount % larger[0] !== 0) return text;
  return largestUnit(`${amount / larger[0]}${larger[1]}`);
}

/** Adds the origins as comments. Values are found again by parsing what was printed, so layout does not matter. */
function annotate(text: string, leaves: readonly Leaf[]): string {
  const source = new SourceText('', text);
  const root = parseYaml(source).root;
  if (!root) return text;
  const comments = new Map<number, string>();
  for (const { path, origin } of leaves) {
    const line = lineOf(root, path);
    if (line !== undefined) comments.set(line, formatOrigin(origin));
  }
  const lines = text.split('\n');
  return lines
    .map((line, index) => (comments.has(index + 1) ? `${line} # ${comments.get(index + 1)}` : line))
    .join('\n');
}

/** The line where a value's key stands, or where the value starts in a list. */
function lineOf(root: MapNode, path: Path): number | undefined {
  const parent = nodeAt(root, path.slice(0, -1));
  const last = path.at(-1);
  if (!parent || last === undefined) return undefined;
  const entry = parent.kind === 'map' ? parent.entries.get(String(last)) : undefined;
  const place: Place | undefined = entry?.keyPlace ?? childOf(parent, last)?.place;
  return place?.kind === 'file' ? place.span.source.positionOf(place.span.start).line : undefined;
}
