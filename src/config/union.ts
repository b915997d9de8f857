/** Which branch of a union the writer most likely meant, from how each one fails. */
import { nodeAt } from './tree.ts';
import type { Path } from './path.ts';
import type { TreeNode } from './tree.ts';
import type { Issue } from './wording.ts';

type Branch = readonly Issue[];

/** The branch wants another kind of value altogether: a map where a list stands, another literal. */
export function isRootMismatch(issue: Issue): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === 'invalid_union')
    return issue.errors.length > 0 && issue.errors.every((branch) => branch.some(isRootMismatch));
  return issue.code === 'invalid_type' || issue.code === 'invalid_value';
}

/**
 * The branches with the lowest cost. A literal that differs (a discriminator) costs most, then keys the branch does not
 * know, then keys it misses; a mistake deep inside costs little, for everything around it fits.
 * @param counts issues to leave out answer false
 */
export function bestBranches(
  branches: readonly Branch[],
  node: TreeNode,
  counts: (issue: Issue) => boolean,
): readonly Branch[] {
  const costs = branches.map((branch) => branchCost(branch.filter(counts), node));
  const lowest = Math.min(...costs);
  return branches.filter((_, index) => costs[index] === lowest);
}

function branchCost(branch: Branch, node: TreeNode): number {
  return branch.reduce((sum, issue) => sum + issueCost(issue, node), 0);
}

function issueCost(issue: Issue, node: TreeNode): number {
  const depth = issue.path.length;
  if (issue.code === 'unrecognized_keys') return (3 * issue.keys.length) / (depth + 1);
  const value = nodeAt(node, issue.path as Path);
  if (!value && issue.path.length > 0) return 2 / depth;
  if (issue.code === 'invalid_value') return 4 / depth;
  if (issue.code === 'invalid_union' && value && issue.errors.length > 0)
    return Math.min(...issue.errors.map((branch) => branchCost(branch, value))) / (depth + 1);
  return 1 / (depth + 1);
}

const rootUnknownKeys = (branch: Branch): readonly string[] =>
  branch.flatMap((issue) =>
    issue.code === 'unrecognized_keys' && issue.path.length === 0 ? issue.keys : [],
  );

/** Keys that no branch knows. */
export function unknownKeys(branches: readonly Branch[]): readonly string[] {
  const [first = [], ...others] = branches.map(rootUnknownKeys);
  return first.filter((key) => others.every((keys) => keys.includes(key)));
}

/** Keys that some branches know and others do not: they exclude each other. */
export function disjointKeys(branches: readonly Branch[]): readonly string[] {
  return [...new Set(branches.flatMap(rootUnknownKeys))];
}

/** Keys whose absence the branches lament. */
export function missingKeys(branches: readonly Branch[], node: TreeNode | undefined): readonly string[] {
  const missing = branches.flatMap((branch) =>
    branch.filter(
      (issue) => issue.path.length === 1 && node !== undefined && !nodeAt(node, issue.path as Path),
    ),
  );
  return [...new Set(missing.map((issue) => String(issue.path[0])))];
}
