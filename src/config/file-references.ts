/** Files and directories that fields of the configuration name by path: where they are, and which files to watch. */
import { resolve } from 'node:path';
import type { SchemaView } from './schema-view.ts';
import type { MapEntry, MapNode, ScalarNode, TreeNode } from './tree.ts';

export interface FileReferences {
  /** The tree with absolute paths. */
  readonly root: MapNode;
  /** Absolute paths, whether there are such files or not. */
  readonly files: readonly string[];
}

/** Paths in a file start where that file is; those of variables and flags, at the working directory. */
export function resolveFiles(root: MapNode, view: SchemaView): FileReferences {
  const files = new Set<string>();
  const visit = (node: TreeNode, at: SchemaView): TreeNode => {
    if (node.kind === 'scalar')
      return at.path ? absolute(node, at.path === 'file' ? files : undefined) : node;
    if (node.kind === 'list')
      return { ...node, items: node.items.map((item, index) => visit(item, at.child(index))) };
    const entries = new Map<string, MapEntry>();
    for (const [key, entry] of node.entries)
      entries.set(key, { ...entry, node: visit(entry.node, at.child(key)) });
    return { ...node, entries };
  };
  return { root: visit(root, view) as MapNode, files: [...files] };
}

function absolute(node: ScalarNode, files: Set<string> | undefined): ScalarNode {
  if (typeof node.value !== 'string' || node.value === '' || node.failed) return node;
  const base = node.place.kind === 'file' ? node.place.span.source.directory : '.';
  const path = resolve(base, node.value);
  files?.add(path);
  return { ...node, value: path };
}
