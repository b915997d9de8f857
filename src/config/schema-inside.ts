/**
 * The only look inside zod schemas: what wraps what, which children there are, which scalars fit. Everything is told
 * from the side of the input.
 */
import { z } from 'zod';
import type { Scalar } from './tree.ts';

export type AnySchema = z.core.$ZodTypes;

export function isMarkedSecret(schema: AnySchema): boolean {
  return z.globalRegistry.get(schema)?.['secret'] === true;
}

/** `file`: see `fileContents`; `folder`: see `folderPath`. */
export type MarkedPath = 'file' | 'folder';

export function markedPath(schema: AnySchema): MarkedPath | undefined {
  return z.globalRegistry.get(schema)?.['path'] as MarkedPath | undefined;
}

/** What a wrapper wraps, as the input meets it; undefined for a schema that is no wrapper. */
export function innerSchemas(schema: AnySchema): readonly AnySchema[] | undefined {
  const def = schema._zod.def;
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'nonoptional':
    case 'readonly':
    case 'catch':
      return [def.innerType as AnySchema];
    case 'pipe':
      return [((def.in as AnySchema)._zod.def.type === 'transform' ? def.out : def.in) as AnySchema];
    case 'lazy':
      return [def.getter() as AnySchema];
    case 'union':
      return def.options as readonly AnySchema[];
    case 'intersection':
      return [def.left as AnySchema, def.right as AnySchema];
    default:
      return undefined;
  }
}

export function namedKeys(schema: AnySchema): readonly string[] {
  const def = schema._zod.def;
  return def.type === 'object' ? Object.keys(def.shape) : [];
}

/** The schema of freely named children. */
export function freeChild(schema: AnySchema): AnySchema | undefined {
  const def = schema._zod.def;
  if (def.type === 'record') return def.valueType as AnySchema;
  if (def.type === 'any' || def.type === 'unknown') return schema;
  const catchall = def.type === 'object' ? (def.catchall as AnySchema | undefined) : undefined;
  return catchall && catchall._zod.def.type !== 'never' ? catchall : undefined;
}

/** A child that only this key or index has. */
export function hasOwnChild(schema: AnySchema, segment: string | number): boolean {
  const def = schema._zod.def;
  return def.type === 'tuple' || (def.type === 'object' && Object.hasOwn(def.shape, segment));
}

export function childSchema(schema: AnySchema, segment: string | number): AnySchema | undefined {
  const def = schema._zod.def;
  if (def.type === 'array') return def.element as AnySchema;
  if (def.type === 'tuple')
    return (def.items[Number(segment)] ?? def.rest ?? undefined) as AnySchema | undefined;
  if (def.type === 'object' && Object.hasOwn(def.shape, segment)) return def.shape[segment] as AnySchema;
  return freeChild(schema);
}

export function acceptsScalar(schema: AnySchema, value: Scalar): boolean {
  const def = schema._zod.def;
  switch (def.type) {
    case 'any':
    case 'unknown':
      return true;
    case 'literal':
      return def.values.includes(value);
    case 'enum':
      return Object.values(def.entries).includes(value as string | number);
    case 'template_literal':
      return typeof value === 'string';
    case 'null':
      return value === null;
    default:
      return value !== null && def.type === typeof value;
  }
}

/** Cycles through lazy schemas end at what is already being looked at. */
export function schemaHoldsSecret(schema: AnySchema, seen: Set<AnySchema>): boolean {
  if (seen.has(schema)) return false;
  seen.add(schema);
  if (isMarkedSecret(schema)) return true;
  return belowSchemas(schema).some((child) => schemaHoldsSecret(child, seen));
}

function belowSchemas(schema: AnySchema): readonly AnySchema[] {
  const def = schema._zod.def;
  if (def.type === 'object') return Object.values(def.shape) as AnySchema[];
  if (def.type === 'array') return [def.element as AnySchema];
  if (def.type === 'tuple') return def.items as readonly AnySchema[];
  if (def.type === 'record') return [def.valueType as AnySchema];
  return innerSchemas(schema) ?? [];
}
