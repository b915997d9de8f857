/** The imports of src/, read from its text: which file takes what from where, and whether it is needed at run time. */
import { dirname, join, normalize } from 'node:path';
import { readText } from './docs-pages.ts';
import { sourceFiles } from './docs-source.ts';

export interface Import {
  /** From `src/`, such as `policies/retry.ts`. */
  readonly file: string;
  /** A file from `src/`, or the name of a library or `node:` module. */
  readonly target: string;
  readonly inside: boolean;
  /** Gone at run time. */
  readonly typeOnly: boolean;
}

const STATEMENT =
  /^(?:import|export)\s+(type\s)?(?:[^;'"]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)|^declare module '([^']+)'/gm;

/** `stores` of `stores/redis.ts`; `pipeline` of `pipeline.ts`. */
export const roomOf = (file: string): string =>
  file.includes('/') ? file.slice(0, file.indexOf('/')) : file.replace(/\.ts$/, '');

export function allImports(): Import[] {
  return sourceFiles().flatMap((path) => {
    const file = path.replace('src/', '');
    return [...readText(path).matchAll(STATEMENT)].map(([, type, from, dynamic, augmented]): Import => {
      const target = from ?? dynamic ?? augmented ?? '';
      const inside = target.startsWith('.');
      return {
        file,
        target: inside ? normalize(join(dirname(file), target)) : libraryOf(target),
        inside,
        typeOnly: type !== undefined || augmented !== undefined,
      };
    });
  });
}

const libraryOf = (target: string): string =>
  target.startsWith('node:')
    ? target
    : target
        .split('/')
        .slice(0, target.startsWith('@') ? 2 : 1)
        .join('/');

/** Ways from a node back to itself, each told once; empty when there are none. */
export function cyclesOf(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (node: string, way: readonly string[]): void => {
    const seenAt = way.indexOf(node);
    if (seenAt >= 0) cycles.push([...way.slice(seenAt), node].join(' → '));
    if (seenAt >= 0 || done.has(node)) return;
    for (const next of edges.get(node) ?? []) visit(next, [...way, node]);
    done.add(node);
  };
  for (const node of edges.keys()) visit(node, []);
  return cycles;
}

export function edgesOf(pairs: readonly (readonly [from: string, to: string])[]): Map<string, Set<string>> {
  const edges = new Map<string, Set<string>>();
  for (const [from, to] of pairs) {
    if (from === to) continue;
    edges.set(from, (edges.get(from) ?? new Set()).add(to));
  }
  return edges;
}
