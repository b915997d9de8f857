/** Where each effective value came from, for `explain` and `print-config --origins`. */
import { PRESET_SOURCE } from './apply-presets.ts';
import type { Path } from './path.ts';
import { nodeAt } from './tree.ts';
import type { ConfigTree, Place } from './tree.ts';

export type Origin =
  /** `viaDefaults`: written in the `defaults` section. Lines and columns count from 1. */
  | {
      readonly kind: 'file';
      readonly file: string;
      readonly line: number;
      readonly column: number;
      readonly viaDefaults: boolean;
    }
  | { readonly kind: 'env'; readonly name: string }
  /** The flag and its path, without the value: `--set upstreams.openai.route`. */
  | { readonly kind: 'flag'; readonly text: string }
  /** The schema's own default. */
  | { readonly kind: 'default' };

/** @returns `default` for whatever was not written anywhere */
export function originOf(loaded: { readonly tree: ConfigTree }, path: Path): Origin {
  const node = nodeAt(loaded.tree.root, path);
  return node ? originOfPlace(node.place, node.viaDefaults ?? false) : { kind: 'default' };
}

export function originOfPlace(place: Place, viaDefaults: boolean): Origin {
  if (place.kind === 'env') return { kind: 'env', name: place.name };
  if (place.kind === 'flag') return { kind: 'flag', text: place.text };
  const { source, start } = place.span;
  return { kind: 'file', file: source.name, ...source.positionOf(start), viaDefaults };
}

/** `base.yaml:12:5`, `defaults base.yaml:3:5`, `env OUTRIGGER__…`, `--set …` or `default`. */
export function formatOrigin(origin: Origin): string {
  switch (origin.kind) {
    case 'file':
      return `${origin.viaDefaults && !origin.file.startsWith(PRESET_SOURCE) ? 'defaults ' : ''}${origin.file}:${origin.line}:${origin.column}`;
    case 'env':
      return `env ${origin.name}`;
    case 'flag':
      return origin.text;
    case 'default':
      return 'default';
  }
}

/** For places that are compared, not shown. */
export const sameOrigin = (a: Place, b: Place): boolean =>
  a === b ||
  (a.kind === 'file' && b.kind === 'file'
    ? a.span.source === b.span.source
    : a.kind === b.kind && textOf(a) === textOf(b));

const textOf = (place: Place): string =>
  place.kind === 'env' ? place.name : place.kind === 'flag' ? place.text : '';
