/**
 * What to watch so that a change of a file is noticed however it comes about. A mounted ConfigMap changes by swapping
 * a symlink two levels up; editors rename a new file over the old one. So it is the directories that are watched: of
 * the file, and of every symlink on the way to it.
 */
import { lstatSync, readlinkSync } from 'node:fs';
import { dirname, join, parse, resolve, sep } from 'node:path';

/** Directories (and the file itself, for bind-mounted files), each with the names in it that matter. */
export type WatchTargets = ReadonlyMap<string, ReadonlySet<string>>;

/** As deep as the system itself follows links. */
const MAX_LINKS = 40;

export function watchTargets(paths: Iterable<string>): WatchTargets {
  const targets = new Map<string, Set<string>>();
  const add = (directory: string, name: string): void => {
    const names = targets.get(directory) ?? new Set();
    targets.set(directory, names.add(name));
  };
  for (const path of paths) follow(resolve(path), add);
  return targets;
}

function follow(path: string, add: (directory: string, name: string) => void): void {
  let links = 0;
  let at = parse(path).root;
  let rest = path.slice(at.length).split(sep);
  while (rest.length > 0) {
    const [name = '', ...others] = rest;
    rest = others;
    const next = join(at, name);
    const link = linkTarget(next);
    if (link === 'missing') {
      // Whatever is missing will appear here.
      add(at, name);
      return;
    }
    if (link !== undefined && links < MAX_LINKS) {
      links += 1;
      add(at, name);
      const target = resolve(at, link);
      at = parse(target).root;
      rest = [...target.slice(at.length).split(sep).filter(Boolean), ...rest];
    } else {
      at = next;
    }
  }
  add(dirname(at), at.slice(dirname(at).length).replace(sep, ''));
  // A bind-mounted file has another parent where it is written; only the file itself tells.
  add(at, '');
}

/** @returns where a symlink points, `missing`, or undefined for anything that is no link */
function linkTarget(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch {
    return 'missing';
  }
}
