/** What a report must know about the texts and values it speaks of: mostly, what of them must not be shown. */
import type { Interpolated } from './interpolate.ts';
import type { Layered } from './layers.ts';
import { masksOf, masksOfBrokenLine, namesIn } from './masks.ts';
import type { Mask } from './redact.ts';
import type { ReportContext } from './report.ts';
import type { SchemaView } from './schema-view.ts';
import type { SourceText } from './source-text.ts';
import type { TreeNode } from './tree.ts';

/** Everything is worked out when a problem first asks: a valid configuration pays for none of it. */
export function reportContext(
  layered: Layered,
  view: SchemaView,
  effective: Interpolated | undefined,
): ReportContext {
  const masks = new Map<SourceText, readonly Mask[]>();
  const trees = new Map(layered.layers.map(({ source, root: tree }) => [source, tree]));
  let names: ReadonlySet<string> | undefined;
  let hidden: readonly string[] | undefined;
  return {
    sources: layered.layers.map(({ source }) => source),
    hiddenValues: () => (hidden ??= effective ? hiddenValues(effective, view) : []),
    masks: (source, offset) => {
      const tree = trees.get(source);
      if (!tree) return masksOfBrokenLine(source, offset, (names ??= namesIn(view, 'secret')));
      let known = masks.get(source);
      if (!known) masks.set(source, (known = masksOf(tree, view)));
      return known;
    },
  };
}

/** Hiding these would garble messages and protect nothing. */
const ORDINARY = /^(?:.{0,3}|true|false|null)$/s;

/** Resolved references and secrets, as they are and as JSON would quote them. */
function hiddenValues(effective: Interpolated, rootView: SchemaView): readonly string[] {
  const values = new Set<string>();
  const hide = (text: string): void => {
    if (!ORDINARY.test(text)) values.add(text).add(JSON.stringify(text).slice(1, -1));
  };
  const visit = (node: TreeNode, view: SchemaView): void => {
    if (node.kind === 'list') node.items.forEach((item, index) => visit(item, view.child(index)));
    else if (node.kind === 'map') for (const [key, entry] of node.entries) visit(entry.node, view.child(key));
    else if (node.interpolated || view.secret) hide(String(node.value ?? ''));
  };
  visit(effective.root, rootView);
  effective.values.forEach(hide);
  return [...values].sort((a, b) => b.length - a.length);
}
