/**
 * The way from files, environment and flags to one typed configuration: parse → layer → defaults → interpolate →
 * find files → validate → checks. Reports every problem at once and never throws for bad input.
 */
import type { z } from 'zod';
import { applyPresets } from './apply-presets.ts';
import { applyDefaults, DEFAULTS_KEY, withDefaultsSection } from './defaults.ts';
import { resolveFiles } from './file-references.ts';
import type { Finding } from './finding.ts';
import { configHash } from './hash.ts';
import { interpolate } from './interpolate.ts';
import type { Interpolated } from './interpolate.ts';
import { layer } from './layers.ts';
import type { ConfigInput } from './layers.ts';
import type { Path } from './path.ts';
import { Permissions } from './permissions.ts';
import type { Problem } from './problem.ts';
import { reportContext } from './report-context.ts';
import { toProblems } from './report.ts';
import { SchemaView } from './schema-view.ts';
import { spreadPolicies } from './spread-policies.ts';
import { locate } from './tree.ts';
import type { ConfigTree, MapNode } from './tree.ts';
import { guarded, validate, validateUnusedDefaults } from './validate.ts';
import { prune } from './values.ts';

export type { ConfigInput } from './layers.ts';

export interface LoadedConfig<T> {
  readonly config: T;
  /** Merged and interpolated, with origins. */
  readonly tree: ConfigTree;
  /** Everything read, `${file:…}` references and files named by their path included; absolute. */
  readonly files: readonly string[];
  /** The first 12 hex digits of the SHA-256 of the effective configuration. */
  readonly hash: string;
  /** What a check found worth saying without refusing the configuration. */
  readonly warnings: readonly Problem[];
}

export type LoadResult<T> =
  | { readonly ok: true; readonly loaded: LoadedConfig<T> }
  /** `files` holds also what could not be read, so that it can be watched for. */
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly files: readonly string[] };

/** One thing wrong across fields. `path` need not exist: the closest place above it is shown. */
export interface CheckProblem {
  readonly path: Path;
  readonly message: string;
  /** Default `error`. */
  readonly severity?: 'error' | 'warning';
}

/** Where a configuration came from, for checks that ask who wrote it. */
export interface CheckedSource {
  /** The effective tree, with the place of every value. */
  readonly root: MapNode;
  readonly permissions: Permissions;
}

/** Looks at a configuration that fits the schema. */
export type ConfigCheck<T> = (config: T, source: CheckedSource) => readonly CheckProblem[];

export function loadConfig<S extends z.ZodType>(
  schema: S,
  input: ConfigInput,
  checks: ConfigCheck<z.output<S>> = () => [],
): LoadResult<z.output<S>> {
  const view = withDefaultsSection(SchemaView.of(schema));
  const layered = layer(input, view);
  if (!layered.root) {
    const problems = toProblems(layered.findings, reportContext(layered, view, undefined));
    return { ok: false, problems, files: layered.files };
  }
  const effective = makeEffective(layered.root, input, view, schema);
  const permissions = new Permissions(input.env);
  const { root, files: named, findings: refused } = resolveFiles(effective.root, view, permissions);
  const files = [...new Set([...layered.files, ...effective.files, ...named])];
  const validated = validate(schema, root, view);
  const checked = validated.ok
    ? guarded(root, () => runChecks(checks(validated.config, { root, permissions }), root))
    : validated.findings;
  const findings = [...layered.findings, ...effective.findings, ...refused, ...checked];
  const problems = toProblems(findings, reportContext(layered, view, { ...effective, root }));
  if (!validated.ok || problems.some(({ severity }) => severity === 'error'))
    return { ok: false, problems, files };
  const { config } = validated;
  return {
    ok: true,
    loaded: { config, tree: { root }, files, hash: configHash(config), warnings: problems },
  };
}

/** The tree that counts: defaults spread, `x-…` keys and deletions gone, `${…}` resolved. */
function makeEffective(
  layered: MapNode,
  input: ConfigInput,
  view: SchemaView,
  schema: z.ZodType,
): Interpolated {
  const ownSection = SchemaView.of(schema).keys.includes(DEFAULTS_KEY);
  const spread = applyDefaults(layered, ownSection);
  const main = interpolate(prune(spreadPolicies(applyPresets(spread.root)), view), input.env);
  const findings = [...spread.findings, ...main.findings];
  if (ownSection || !spread.unused) return { ...main, findings };
  const unused = interpolate(prune(spread.unused, view.child(DEFAULTS_KEY)), input.env);
  const unusedFindings = unused.findings.map((finding) => ({
    ...finding,
    path: ['upstreams', '', ...finding.path],
  }));
  return {
    root: main.root,
    findings: [...findings, ...unusedFindings, ...validateUnusedDefaults(schema, unused.root, view)],
    values: [...main.values, ...unused.values],
    files: [...main.files, ...unused.files],
  };
}

function runChecks(problems: readonly CheckProblem[], root: MapNode): readonly Finding[] {
  return problems.map(({ path, message, severity = 'error' }): Finding => {
    const { place, viaDefaults } = locate(root, path);
    return { place, viaDefaults, path, message, severity, foreign: true };
  });
}
