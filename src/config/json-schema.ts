/** The published JSON Schema: what editors complete and check while a configuration is being written. */
import { z } from 'zod';
import { DEFAULTS_KEY, UPSTREAMS_KEY } from './defaults.ts';

export interface JsonSchemaMeta {
  readonly title: string;
  /** The `$id`, a URL. */
  readonly id?: string;
}

type JsonObject = { [key: string]: unknown };

const INTERPOLATED = 'Interpolated';

/**
 * Draft 2020-12, from the side of the input. Wherever a number, a boolean or a text of a certain form is expected, a
 * text with `${…}` passes too; `x-…` keys pass where names are fixed.
 */
export function toJsonSchema(schema: z.ZodType, meta: JsonSchemaMeta): object {
  const { $schema, ...exported } = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-2020-12',
    unrepresentable: 'any',
    metadata: new PublishedMetadata(),
  }) as JsonObject;
  const root = widen(exported) as JsonObject;
  addDefaultsSection(root);
  letPresetsBring(root);
  const definitions = {
    ...(root['$defs'] as JsonObject | undefined),
    [INTERPOLATED]: interpolatedDefinition(),
  };
  return {
    $schema,
    ...(meta.id !== undefined && { $id: meta.id }),
    title: meta.title,
    ...root,
    $defs: definitions,
  };
}

/**
 * What schemas say about themselves, as published: `secret` becomes the standard `writeOnly`. A schema that was marked
 * secret is another schema than the one of that name, and two definitions cannot share a name, so it has none.
 */
class PublishedMetadata extends z.core.$ZodRegistry<Record<string, unknown>> {
  override get(schema: z.core.$ZodType): Record<string, unknown> | undefined {
    const { secret, id, path: _path, ...rest } = z.globalRegistry.get(schema) ?? {};
    if (secret === true) return { ...rest, writeOnly: true };
    return id === undefined ? rest : { ...rest, id };
  }

  override has(schema: z.core.$ZodType): boolean {
    return z.globalRegistry.has(schema);
  }
}

const interpolatedDefinition = (): JsonObject => ({
  type: 'string',
  pattern: '\\$\\{',
  description: 'A text with ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:path}.',
});

const interpolated = (): JsonObject => ({ $ref: `#/$defs/${INTERPOLATED}` });

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function widen(schema: unknown): unknown {
  if (!isObject(schema)) return schema;
  const branches = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(branches)) return widenUnion(schema, branches);
  if (isRestrictedScalar(schema)) return besideInterpolated(schema);
  return widenChildren(schema);
}

/** Several branches may take an interpolated text, which `oneOf` would refuse. */
function widenUnion(
  { anyOf: _anyOf, oneOf: _oneOf, ...rest }: JsonObject,
  branches: readonly unknown[],
): JsonObject {
  const scalar = branches.some((branch) => isObject(branch) && isRestrictedScalar(branch));
  const widened = branches.map((branch) =>
    isObject(branch) && isRestrictedScalar(branch) ? branch : widen(branch),
  );
  return { ...rest, anyOf: scalar ? [...widened, interpolated()] : widened };
}

const ANNOTATIONS = ['title', 'description', 'default', 'examples', 'deprecated', 'writeOnly'];

/** Annotations stay outside, where editors look for them. */
function besideInterpolated(schema: JsonObject): JsonObject {
  const entries = Object.entries(schema);
  const outside = entries.filter(([key]) => ANNOTATIONS.includes(key));
  const inside = entries.filter(([key]) => !ANNOTATIONS.includes(key));
  return { ...Object.fromEntries(outside), anyOf: [Object.fromEntries(inside), interpolated()] };
}

const STRING_LIMITS = [
  'pattern',
  'format',
  'enum',
  'const',
  'minLength',
  'maxLength',
  'allOf',
  'contentEncoding',
];

function isRestrictedScalar(schema: JsonObject): boolean {
  const types = [schema['type']].flat();
  if (types.some((type) => type === 'object' || type === 'array')) return false;
  if (types.some((type) => type === 'number' || type === 'integer' || type === 'boolean')) return true;
  if ('const' in schema || 'enum' in schema) return true;
  return types.includes('string') && STRING_LIMITS.some((limit) => limit in schema);
}

function widenChildren(schema: JsonObject): JsonObject {
  const result: JsonObject = { ...schema };
  for (const key of ['properties', '$defs', 'patternProperties']) {
    const children = schema[key];
    if (isObject(children)) result[key] = mapValues(children, widen);
  }
  for (const key of ['items', 'additionalProperties']) if (key in schema) result[key] = widen(schema[key]);
  for (const key of ['prefixItems', 'allOf']) {
    const children = schema[key];
    if (Array.isArray(children)) result[key] = children.map(widen);
  }
  if (schema['additionalProperties'] === false)
    result['patternProperties'] = { ...patternsOf(result), '^x-': {} };
  return result;
}

const patternsOf = (schema: JsonObject): JsonObject =>
  isObject(schema['patternProperties']) ? schema['patternProperties'] : {};

const mapValues = (object: JsonObject, map: (value: unknown) => unknown): JsonObject =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));

/** `defaults` is not part of the schema where it only is laid below every upstream: an upstream of which all may be missing. */
function addDefaultsSection(root: JsonObject): void {
  const properties = root['properties'];
  if (!isObject(properties) || DEFAULTS_KEY in properties) return;
  const upstreams = properties[UPSTREAMS_KEY];
  const upstream = isObject(upstreams) ? upstreams['additionalProperties'] : undefined;
  if (!isObject(upstream)) return;
  const section = withoutRequired(upstream) as JsonObject;
  properties[DEFAULTS_KEY] = {
    ...section,
    description: 'What every upstream starts from; its own settings win.',
  };
}

/** What an upstream must have may come with its preset. */
function letPresetsBring(root: JsonObject): void {
  const upstreams = isObject(root['properties']) ? root['properties'][UPSTREAMS_KEY] : undefined;
  const upstream = isObject(upstreams) ? upstreams['additionalProperties'] : undefined;
  if (!isObject(upstream) || !isObject(upstream['properties']) || !('preset' in upstream['properties']))
    return;
  const { required } = upstream;
  delete upstream['required'];
  if (Array.isArray(required)) upstream['anyOf'] = [{ required }, { required: ['preset'] }];
}

function withoutRequired(schema: unknown): unknown {
  if (!isObject(schema)) return schema;
  const { required: _required, ...rest } = schema;
  const properties = rest['properties'];
  return isObject(properties) ? { ...rest, properties: mapValues(properties, withoutRequired) } : rest;
}
