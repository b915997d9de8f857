/**
 * Which stretches of a configuration text must not be shown in an excerpt: values of secret fields, and everything
 * under keys that the schema does not know, for a mistyped key may hold a secret.
 */
import { HIDDEN, hideTemplateText, mustHide } from './redact.ts';
import type { Mask } from './redact.ts';
import type { SchemaView } from './schema-view.ts';
import type { SourceText } from './source-text.ts';
import { plainSpelling } from './suggest.ts';
import type { Place, ScalarNode, TreeNode } from './tree.ts';

/** Masks over a whole text, in its offsets. */
export function masksOf(root: TreeNode, view: SchemaView): readonly Mask[] {
  const masks: Mask[] = [];
  const seen = new Map<TreeNode, Set<SchemaView>>();
  const names = namesIn(view, 'all');
  const hideKey = (key: string, at: SchemaView): boolean =>
    (!at.known || at.secret) && !names.has(plainSpelling(key));
  const visit = (node: TreeNode, at: SchemaView): void => {
    // Aliases share nodes; the same node under the same schema says nothing new.
    const views = seen.get(node) ?? new Set();
    if (views.has(at)) return;
    seen.set(node, views.add(at));
    if (node.kind === 'scalar') masks.push(...maskOf(node, at));
    else if (node.kind === 'list') node.items.forEach((item, index) => visit(item, at.child(index)));
    else {
      for (const [key, entry] of node.entries) {
        if (hideKey(key, at)) masks.push(...maskOver(entry.keyPlace, HIDDEN));
        visit(entry.node, at.child(key));
      }
    }
  };
  visit(root, view);
  return masks;
}

function maskOf(node: ScalarNode, view: SchemaView): readonly Mask[] {
  if (!mustHide(node.text, view)) return [];
  const template = typeof node.value === 'string' && node.value.includes('$') ? node.value : undefined;
  return maskOver(node.place, template === undefined ? HIDDEN : hideTemplateText(template));
}

function maskOver(place: Place, shown: string): readonly Mask[] {
  if (place.kind !== 'file' || place.span.end <= place.span.start) return [];
  return [{ start: place.span.start, end: place.span.end, shown }];
}

const SECRET_KEY = /key|token|secret|password|passwd|credential|authorization|^auth$/;

/** Every name that the schema gives, in one spelling; with `secret`, only those of secret fields. */
export function namesIn(view: SchemaView, which: 'all' | 'secret'): ReadonlySet<string> {
  const known = NAMES[which].get(view);
  if (known) return known;
  const names = collectNames(view, which);
  NAMES[which].set(view, names);
  return names;
}

/** A whole schema takes long to walk, and a file that is being edited is read again and again. */
const NAMES = {
  all: new WeakMap<SchemaView, ReadonlySet<string>>(),
  secret: new WeakMap<SchemaView, ReadonlySet<string>>(),
};

function collectNames(view: SchemaView, which: 'all' | 'secret'): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (at: SchemaView, depth: number): void => {
    if (depth > DEEPEST_SCHEMA) return;
    for (const key of at.keys) {
      const child = at.child(key);
      if (which === 'all' || child.secret) names.add(plainSpelling(key));
      visit(child, depth + 1);
    }
    if (at.hasFreeKeys || at.acceptsList) visit(at.child('*'), depth + 1);
  };
  visit(view, 0);
  return names;
}

/** Deeper nesting comes from schemas that hold themselves. */
const DEEPEST_SCHEMA = 12;

const KEY = /(?:^|[\s{,"'-])["']?([\w.-]{1,64})["']?[ \t]{0,8}:(?=\s|$)/g;
const MOST_LINES_BACK = 200;

/** For a text that does not parse, a guess by key names: from a secret's key to the end of the line. */
export function masksOfBrokenLine(
  source: SourceText,
  offset: number,
  names: ReadonlySet<string>,
): readonly Mask[] {
  const isSecret = (key: string): boolean =>
    names.has(plainSpelling(key)) || SECRET_KEY.test(plainSpelling(key));
  const line = source.lineAround(offset);
  const keys = [...line.text.matchAll(KEY)];
  const secret = keys.find((match) => isSecret(match[1] ?? ''));
  const end = line.start + line.text.length;
  if (secret) return [{ start: line.start + secret.index + secret[0].length, end, shown: ` ${HIDDEN}` }];
  if (keys.length > 0 || line.text.trim() === '') return [];
  const parent = enclosingKey(source, line.start, indentOf(line.text));
  return parent !== undefined && isSecret(parent) ? [{ start: line.start, end, shown: HIDDEN }] : [];
}

const indentOf = (line: string): number => /^[ \t]*/.exec(line)?.[0].length ?? 0;

/** The key whose value a line without a key continues: the closest one above that is indented less. */
function enclosingKey(source: SourceText, before: number, indent: number): string | undefined {
  let offset = before;
  for (let i = 0; i < MOST_LINES_BACK && offset > 0; i++) {
    const line = source.lineAround(offset - 1);
    offset = line.start;
    const key = [...line.text.matchAll(KEY)].at(-1)?.[1];
    if (key !== undefined && (indentOf(line.text) < indent || indent === 0)) return key;
  }
  return undefined;
}
