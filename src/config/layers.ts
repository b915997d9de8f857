/** The layers of a configuration, from files to one tree: texts and files in order, then environment, then flags. */
import { resolve } from 'node:path';
import type { Finding } from './finding.ts';
import { mergeTrees } from './merge.ts';
import { applyEnv, applySets } from './overrides.ts';
import { parseYaml } from './parse.ts';
import { readText } from '../schema/read-file.ts';
import type { FileText } from '../schema/read-file.ts';
import type { SchemaView } from './schema-view.ts';
import { SourceText } from './source-text.ts';
import type { MapNode } from './tree.ts';

export interface ConfigInput {
  /** Layered in this order; later ones win. */
  readonly files: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `path=value`, the values of `--set`. */
  readonly sets: readonly string[];
  /** Used instead of `files[0]` when given: embedded text. Relative `${file:…}` paths start at the working directory. */
  readonly texts?: readonly { readonly name: string; readonly text: string }[];
  /** What stands under those of `files` that are keys somewhere else; relative paths in it start at the working directory. */
  readonly fetched?: ReadonlyMap<string, FileText>;
}

/** One text, and its own tree where it parsed. */
export interface Layer {
  readonly source: SourceText;
  readonly root: MapNode | undefined;
}

export interface Layered {
  readonly layers: readonly Layer[];
  /** Undefined when a layer has no tree: what it would have said is unknown. */
  readonly root: MapNode | undefined;
  readonly findings: readonly Finding[];
  /** Absolute paths of the files, read or not. */
  readonly files: readonly string[];
}

export function layer(input: ConfigInput, view: SchemaView): Layered {
  const texts = input.texts ?? [];
  const paths = texts.length > 0 ? input.files.slice(1) : input.files;
  const read = [
    ...texts.map(({ name, text }) => parseLayer(new SourceText(name, text))),
    ...paths.map((path) => readLayer(path, input.fetched?.get(path))),
  ];
  const layers = read.map((each) => each.layer);
  const findings = read.flatMap((each) => each.findings);
  const files = paths.filter((path) => input.fetched?.has(path) !== true).map((path) => resolve(path));
  const trees = layers.flatMap(({ root }) => (root ? [root] : []));
  if (trees.length < layers.length) return { layers, root: undefined, findings, files };
  const merged = mergeLayers(trees);
  const fromEnv = applyEnv(merged, input.env, view);
  const fromSets = applySets(fromEnv.root, input.sets, view);
  return {
    layers,
    root: fromSets.root,
    findings: [...findings, ...fromEnv.findings, ...fromSets.findings],
    files,
  };
}

/** The first tree lies over nothing, so that its nulls stay for validation. */
function mergeLayers([first, ...later]: readonly MapNode[]): MapNode {
  if (!first) return emptyMap(new SourceText('(no file)', ''));
  return later.reduce((lower, upper) => mergeTrees(lower, upper, { nullDeletes: 'always' }), first);
}

const emptyMap = (source: SourceText): MapNode => ({
  kind: 'map',
  entries: new Map(),
  place: { kind: 'file', span: { source, start: 0, end: 0 } },
});

interface ReadLayer {
  readonly layer: Layer;
  readonly findings: readonly Finding[];
}

function readLayer(path: string, fetched: FileText | undefined): ReadLayer {
  const content = fetched ?? readText(path);
  const from = { remote: fetched !== undefined };
  if (content.ok) return parseLayer(new SourceText(path, content.text, from));
  const source = new SourceText(path, '', from);
  const place = { kind: 'file', span: { source, start: 0, end: 0 } } as const;
  const what = fetched ? 'the key' : 'the file';
  return {
    layer: { source, root: undefined },
    findings: [{ place, path: [], message: `cannot read ${what}: ${content.reason}` }],
  };
}

function parseLayer(source: SourceText): ReadLayer {
  const { root, findings } = parseYaml(source);
  return { layer: { source, root }, findings };
}
