/** The schema against the effective tree: the typed configuration, or everything that is wrong with it. */
import type { z } from 'zod';
import { UPSTREAMS_KEY } from './defaults.ts';
import type { Finding } from './finding.ts';
import { findingsOf } from './issues.ts';
import { NO_OWN_WORDS } from './schema-view.ts';
import type { SchemaView } from './schema-view.ts';
import { nodeAt } from './tree.ts';
import type { MapNode } from './tree.ts';
import { toPlain } from './values.ts';

export type Validated<T> =
  { readonly ok: true; readonly config: T } | { readonly ok: false; readonly findings: readonly Finding[] };

export function validate<S extends z.ZodType>(
  schema: S,
  root: MapNode,
  view: SchemaView,
): Validated<z.output<S>> {
  let valid: { readonly config: z.output<S> } | undefined;
  const findings = guarded(root, () => {
    const result = schema.safeParse(toPlain(root, view), { error: () => NO_OWN_WORDS });
    if (!result.success) return findingsOf(result.error.issues, { root, view });
    valid = { config: result.data };
    return [];
  });
  return valid ? { ok: true, config: valid.config } : { ok: false, findings };
}

/** A decoder or check that throws is a mistake there, but no reason to bring the process down. */
export function guarded(root: MapNode, run: () => readonly Finding[]): readonly Finding[] {
  try {
    return run();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `the configuration cannot be checked: ${reason}`;
    return [{ place: root.place, path: [], message, foreign: true }];
  }
}

/**
 * Mistakes in a `defaults` section that no upstream took, as if one upstream consisted of it. What is merely missing
 * would be the upstream's to add.
 */
export function validateUnusedDefaults(
  schema: z.ZodType,
  unused: MapNode,
  view: SchemaView,
): readonly Finding[] {
  const entry = { keyPlace: unused.place, node: unused };
  const upstreams: MapNode = { kind: 'map', place: unused.place, entries: new Map([['unused', entry]]) };
  const upstreamsEntry = { keyPlace: unused.place, node: upstreams };
  const root: MapNode = {
    kind: 'map',
    place: unused.place,
    entries: new Map([[UPSTREAMS_KEY, upstreamsEntry]]),
  };
  const result = validate(schema, root, view);
  if (result.ok) return [];
  const inside = ({ path }: Finding): boolean => path.length > 2 && path[0] === UPSTREAMS_KEY;
  return result.findings.filter((finding) => inside(finding) && nodeAt(root, finding.path) !== undefined);
}
