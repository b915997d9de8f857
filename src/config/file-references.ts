/** Files and directories that fields of the configuration name by path: where they are, and which files to watch. */
import { resolve } from 'node:path';
import type { Finding } from './finding.ts';
import type { Path } from './path.ts';
import { ALLOW_FILES, isRemote } from './permissions.ts';
import type { Permissions } from './permissions.ts';
import type { SchemaView } from './schema-view.ts';
import type { MapEntry, MapNode, ScalarNode, TreeNode } from './tree.ts';

export interface FileReferences {
  /** The tree with absolute paths. */
  readonly root: MapNode;
  /** Absolute paths, whether there are such files or not. */
  readonly files: readonly string[];
  /** Paths that those who wrote them may not name. They are not among `files`. */
  readonly findings: readonly Finding[];
}

/** Paths in a file start where that file is; those of variables and flags, at the working directory. */
export function resolveFiles(root: MapNode, view: SchemaView, permissions: Permissions): FileReferences {
  const files = new Set<string>();
  const findings: Finding[] = [];
  const visit = (node: TreeNode, at: SchemaView, path: Path): TreeNode => {
    if (node.kind === 'scalar') {
      const target = at.path && targetOf(node);
      if (target === undefined) return node;
      if (isRemote(node.place) && !permissions.file(target)) {
        findings.push(refusal(node, path));
        // Not even whether there is such a file is to be found out.
        return { ...node, value: '', failed: true };
      }
      if (at.path === 'file') files.add(target);
      return { ...node, value: target };
    }
    if (node.kind === 'list')
      return {
        ...node,
        items: node.items.map((item, index) => visit(item, at.child(index), [...path, index])),
      };
    const entries = new Map<string, MapEntry>();
    for (const [key, entry] of node.entries)
      entries.set(key, { ...entry, node: visit(entry.node, at.child(key), [...path, key]) });
    return { ...node, entries };
  };
  return { root: visit(root, view, []) as MapNode, files: [...files], findings };
}

/** Absolute; undefined where no path stands. */
function targetOf(node: ScalarNode): string | undefined {
  if (typeof node.value !== 'string' || node.value === '' || node.failed) return undefined;
  return resolve(node.place.kind === 'file' ? node.place.span.source.directory : '.', node.value);
}

const refusal = ({ place, viaDefaults }: ScalarNode, path: Path): Finding => ({
  place,
  path,
  viaDefaults: viaDefaults ?? false,
  message: `a configuration from the network may not name this path, unless ${ALLOW_FILES} names its directory on this machine`,
});
