/** The options that a schema section has, flat, as the tables in the docs list them. Read from the JSON Schema. */
import { z } from 'zod';
import { configSchema } from '../../src/config/schema.ts';
import { dumpInline } from '../../src/config/yaml.ts';

export interface OptionRow {
  /** `backoff.initial`, `steps[].upstream`. */
  readonly name: string;
  /** In YAML form; `required`, or `—` for none. */
  readonly default: string;
  /** Words that the range of the option must mention. */
  readonly range: readonly string[];
  readonly description: string;
}

type Json = { readonly [key: string]: unknown };

const root = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as Json;

/** Names of types whose range is not told by numbers. */
const WORD_OF_TYPE: Readonly<Record<string, string>> = {
  Duration: 'duration',
  PositiveDuration: 'duration',
  Size: 'size',
  ListenAddress: 'host:port',
  FilePath: 'a path',
  FolderPath: 'a path',
  WatchedPath: 'a path',
};

/** What `path` is in the configuration; `*` stands for any name of a map, `[]` for an entry of a list. */
export function sectionAt(path: string): Json {
  let at: Json = root;
  for (const key of path === '' ? [] : path.split('.')) at = childOf(at, key);
  return at;
}

/**
 * @param without names of sections that have a table of their own
 */
export function optionsAt(path: string, without: readonly string[] = []): OptionRow[] {
  return rowsOf(sectionAt(path), '', new Set(without));
}

/** Paths of everything in the configuration that can be set, for checking that the tables leave nothing out. */
export const allOptions = (): string[] => [...new Set(optionsAt('').map(({ name }) => name))];

function childOf(schema: Json, key: string): Json {
  for (const alternative of alternativesOf(schema)) {
    const properties = alternative['properties'] as Record<string, Json> | undefined;
    const child = key === '*' ? (alternative['additionalProperties'] as Json | undefined) : properties?.[key];
    if (typeof child === 'object') return child;
  }
  throw new Error(`the configuration has no ${key} here`);
}

/** All branches of unions, references followed. */
function alternativesOf(schema: Json): Json[] {
  const reference = schema['$ref'] as string | undefined;
  if (reference !== undefined) {
    const name = reference.replace('#/$defs/', '');
    return alternativesOf({ ...((root['$defs'] as Record<string, Json>)[name] as Json), ['x-type']: name });
  }
  const branches = (schema['anyOf'] ?? schema['oneOf']) as readonly Json[] | undefined;
  return branches ? branches.flatMap(alternativesOf) : [schema];
}

const isMap = (schema: Json): boolean => schema['properties'] !== undefined;

function rowsOf(schema: Json, prefix: string, without: ReadonlySet<string>): OptionRow[] {
  const rows = new Map<string, OptionRow>();
  for (const map of alternativesOf(schema).filter(isMap)) {
    const required = (map['required'] ?? []) as readonly string[];
    for (const [key, child] of Object.entries(map['properties'] as Record<string, Json>)) {
      if (prefix === '' && without.has(key)) continue;
      for (const row of rowsOfOption(`${prefix}${key}`, child, required.includes(key)))
        rows.set(row.name, row);
    }
  }
  return [...rows.values()];
}

function rowsOfOption(name: string, schema: Json, required: boolean): OptionRow[] {
  const alternatives = alternativesOf(schema);
  const below = [
    ...rowsOf({ anyOf: alternatives.filter(isMap) }, `${name}.`, new Set()),
    ...alternatives.flatMap((one) => rowsBelowCollection(name, one)),
  ];
  const plainSection = alternatives.every(isMap) && schema['default'] !== undefined;
  const freeNames = alternatives.every(({ additionalProperties: more }) => isSection(more));
  if (below.length > 0 && (plainSection || freeNames)) return below;
  const fallback = 'default' in schema ? dumpInline(schema['default']) : required ? 'required' : '—';
  const range = [...new Set(alternatives.flatMap(rangeOf))];
  return [{ name, default: fallback, range, description: textOf(schema) }, ...below];
}

const isSection = (schema: unknown): schema is Json =>
  typeof schema === 'object' && schema !== null && alternativesOf(schema as Json).some(isMap);

function rowsBelowCollection(name: string, schema: Json): OptionRow[] {
  const { items, additionalProperties: values } = schema;
  if (isSection(items)) return rowsOf(items, `${name}[].`, new Set());
  return isSection(values) ? rowsOf(values, `${name}.*.`, new Set()) : [];
}

const textOf = (schema: Json): string => (schema['description'] as string | undefined) ?? '';

function rangeOf(schema: Json): string[] {
  const type = WORD_OF_TYPE[schema['x-type'] as string];
  if (type !== undefined) return [type];
  if (schema['type'] === 'array' && typeof schema['items'] === 'object')
    return rangeOf(alternativesOf(schema['items'] as Json)[0] ?? {});
  if ('const' in schema) return [String(schema['const'])];
  if (Array.isArray(schema['enum'])) return schema['enum'].length > 10 ? [] : schema['enum'].map(String);
  const bounds = [schema['minimum'], schema['maximum'], schema['exclusiveMinimum']];
  return bounds.filter((bound) => typeof bound === 'number' && Math.abs(bound) < 2 ** 53 - 1).map(String);
}
