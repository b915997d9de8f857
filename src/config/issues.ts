/** From the schema's issues to findings: one per mistake, with the words and the place of it. */
import { mismatch } from './finding.ts';
import type { Finding } from './finding.ts';
import type { Path } from './path.ts';
import type { SchemaView } from './schema-view.ts';
import { closest } from './suggest.ts';
import { locate, nodeAt } from './tree.ts';
import type { Scalar, TreeNode } from './tree.ts';
import { bestBranches, disjointKeys, isRootMismatch, missingKeys, unknownKeys } from './union.ts';
import { gotWords, issueWords, oneOf, shorten } from './wording.ts';
import type { Issue } from './wording.ts';

/** More findings than this help nobody and cost time on hostile files. */
export const MAX_FINDINGS = 100;

/** The tree that was validated and the schema's view of it. */
export interface Checked {
  readonly root: TreeNode;
  readonly view: SchemaView;
}

export function findingsOf(issues: readonly Issue[], checked: Checked, base: Path = []): readonly Finding[] {
  const findings: Finding[] = [];
  for (const issue of issues) {
    if (findings.length >= MAX_FINDINGS) break;
    findings.push(...explain(issue, [...base, ...(issue.path as Path)], checked));
  }
  return findings;
}

function explain(issue: Issue, path: Path, checked: Checked): readonly Finding[] {
  if (causedByFailure(issue, nodeAt(checked.root, path))) return [];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.slice(0, MAX_FINDINGS).map((key) => unknownKey(path, key, checked));
    case 'invalid_key':
      return [invalidKey(issue, path, checked)];
    case 'invalid_union':
      return explainUnion(issue, path, checked);
    default:
      return [wrongValue(issue, path, checked)];
  }
}

/** A value whose interpolation failed is reported already; what it breaks is no second mistake. */
function causedByFailure(issue: Issue, node: TreeNode | undefined): boolean {
  if (!node) return false;
  return node.kind === 'scalar' ? node.failed === true : issue.code === 'custom' && holdsFailure(node);
}

function holdsFailure(node: TreeNode): boolean {
  if (node.kind === 'scalar') return node.failed === true;
  if (node.kind === 'list') return node.items.some(holdsFailure);
  return [...node.entries.values()].some((entry) => holdsFailure(entry.node));
}

type Where = Pick<Finding, 'place' | 'path' | 'viaDefaults'>;

function whereValue(path: Path, root: TreeNode): Where {
  const { place, viaDefaults } = locate(root, path);
  return { place, path, viaDefaults };
}

function whereKey(path: Path, root: TreeNode): Where {
  const { keyPlace, viaDefaults } = locate(root, path);
  return { place: keyPlace, path, viaDefaults };
}

function wrongValue(issue: Issue, path: Path, { root, view }: Checked): Finding {
  const node = nodeAt(root, path);
  const at = view.at(path);
  const words = issueWords(issue, node, at);
  const where = whereValue(path, root);
  const foreign = words.foreign ?? false;
  if ('sentence' in words) return { ...where, message: words.sentence, foreign };
  return { ...mismatch(where, words.expected, gotWords(node, at), hintFor(issue, node, at)), foreign };
}

function hintFor(issue: Issue, node: TreeNode | undefined, view: SchemaView): string {
  if (node?.kind !== 'scalar' || node.interpolated || view.holdsSecret) return '';
  if (issue.code === 'invalid_value' && typeof node.value === 'string')
    return didYouMeanValue(node.value, issue.values);
  const text = issue.code === 'invalid_type' && issue.expected === 'string' && node.value !== null;
  return text && view.objectionTo(node.text) === undefined ? '; put it in quotes' : '';
}

function didYouMeanValue(value: string, known: readonly unknown[]): string {
  const guess = closest(
    value,
    known.filter((candidate): candidate is string => typeof candidate === 'string'),
  );
  return guess === undefined ? '' : `; did you mean ${JSON.stringify(guess)}?`;
}

const MOST_KEYS_LISTED = 12;

function unknownKey(path: Path, key: string, { root, view }: Checked): Finding {
  const keys = view.at(path).keys;
  const guess = closest(key, keys);
  const list = keys.length > 0 && keys.length <= MOST_KEYS_LISTED ? `; known here: ${keys.join(', ')}` : '';
  const hint = guess === undefined ? list : `; did you mean ${JSON.stringify(guess)}?`;
  return mismatch(whereKey([...path, key], root), 'a known key', shorten(JSON.stringify(key)), hint);
}

function invalidKey(issue: Issue & { code: 'invalid_key' }, path: Path, { root, view }: Checked): Finding {
  const [first] = issue.issues;
  const words = first ? issueWords(first, undefined, view.at(path)) : { expected: 'a valid name' };
  const where = whereKey(path, root);
  if ('sentence' in words) return { ...where, message: words.sentence, foreign: true };
  return mismatch(where, `${words.expected} as key`, shorten(JSON.stringify(path.at(-1))));
}

type UnionIssue = Issue & { code: 'invalid_union' };

function explainUnion(issue: UnionIssue, path: Path, checked: Checked): readonly Finding[] {
  if (issue.errors.length === 0) return [noDiscriminator(issue, path, checked)];
  const node = nodeAt(checked.root, path);
  const shaped = issue.errors.filter((branch) => !branch.some(isRootMismatch));
  if (node?.kind !== 'map' && node?.kind !== 'list') return explainScalar(issue, shaped, path, checked);
  if (shaped.length === 0) return [noBranch(issue, path, checked)];
  const best = bestBranches(
    shaped,
    node,
    (inner) => !causedByFailure(inner, nodeAt(node, inner.path as Path)),
  );
  const [first] = best;
  if (!first) return [];
  if (best.length > 1) return explainTie(best, path, checked) ?? findingsOf(first, checked, path);
  return findingsOf(first, checked, path);
}

/** A scalar of the right type that one branch refuses in its own words; otherwise everything that could stand here. */
function explainScalar(
  issue: UnionIssue,
  shaped: readonly (readonly Issue[])[],
  path: Path,
  checked: Checked,
): readonly Finding[] {
  const node = nodeAt(checked.root, path);
  const own = shaped.find((branch) =>
    branch.some((inner) => 'sentence' in issueWords(inner, node, checked.view.at(path))),
  );
  return own ? findingsOf(own, checked, path) : [noBranch(issue, path, checked)];
}

function noBranch(issue: UnionIssue, path: Path, { root, view }: Checked): Finding {
  const node = nodeAt(root, path);
  const at = view.at(path);
  const expected = oneOf(branchWords(issue, node, at));
  return { ...mismatch(whereValue(path, root), expected, gotWords(node, at)), foreign: true };
}

function branchWords(issue: UnionIssue, node: TreeNode | undefined, view: SchemaView): readonly string[] {
  return issue.errors.flatMap((branch) => {
    const [first] = branch;
    if (!first) return [];
    if (first.code === 'invalid_union' && first.errors.length > 0) return branchWords(first, node, view);
    const words = issueWords(first, node, view);
    return 'expected' in words ? [words.expected] : [];
  });
}

function noDiscriminator(issue: UnionIssue, path: Path, { root, view }: Checked): Finding {
  const where = whereValue(path, root);
  const options = 'options' in issue ? (issue.options ?? []) : [];
  if (options.length === 0)
    return { ...where, message: 'expected exactly one of several forms, got a mixture' };
  const node = nodeAt(root, path);
  const value: Scalar = node?.kind === 'scalar' ? node.value : null;
  const hint = typeof value === 'string' ? didYouMeanValue(value, options) : '';
  const expected = oneOf(options.map((option) => JSON.stringify(option)));
  return mismatch(where, expected, gotWords(node, view.at(path)), hint);
}

/** Several branches fit equally badly: name what would decide between them. */
function explainTie(
  tied: readonly (readonly Issue[])[],
  path: Path,
  checked: Checked,
): readonly Finding[] | undefined {
  const unknown = unknownKeys(tied);
  if (unknown.length > 0) return unknown.map((key) => unknownKey(path, key, checked));
  const apart = disjointKeys(tied);
  if (apart.length > 1) {
    const [first = '', ...others] = apart.map((key) => JSON.stringify(key));
    const where = whereKey([...path, apart[1] ?? ''], checked.root);
    return [{ ...where, message: `expected ${first} alone, got it together with ${others.join(', ')}` }];
  }
  const missing = missingKeys(tied, nodeAt(checked.root, path));
  if (missing.length < 2) return undefined;
  const node = nodeAt(checked.root, path);
  return [
    mismatch(
      whereValue(path, checked.root),
      `one of the keys ${oneOf(missing)}`,
      gotWords(node, checked.view.at(path)),
    ),
  ];
}
