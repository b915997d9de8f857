/**
 * Replaces `${…}` inside text scalars, after parsing and after the layers are merged, so that a value can never add
 * structure and only the values in effect need their variables.
 */
import { resolve } from 'node:path';
import type { Finding } from './finding.ts';
import type { Path } from './path.ts';
import { MAX_FILE_BYTES, readText } from '../schema/read-file.ts';
import type { FileText } from '../schema/read-file.ts';
import { ALLOW_FILES, ALLOW_VARIABLES, Permissions } from './permissions.ts';
import { showReference } from './redact.ts';
import { mayBeTemplate, parseTemplate } from './template.ts';
import type { SourceText } from './source-text.ts';
import type { TemplatePart } from './template.ts';
import type { MapEntry, MapNode, ScalarNode, TreeNode } from './tree.ts';

export interface Interpolated {
  readonly root: MapNode;
  readonly findings: readonly Finding[];
  /** What the references stood for, so that no message repeats it. */
  readonly values: readonly string[];
  /** Absolute paths of all `${file:…}` references, found or not. */
  readonly files: readonly string[];
}

export function interpolate(
  root: MapNode,
  env: Readonly<Record<string, string | undefined>>,
  permissions = new Permissions(env),
): Interpolated {
  const interpolator = new Interpolator(env, permissions);
  const result = interpolator.node(root, []) as MapNode;
  const { findings, values, files } = interpolator;
  return { root: result, findings, values: [...values], files: [...files.keys()] };
}

/** Carries the reason why one reference has no value. */
class Unresolved extends Error {}

class Interpolator {
  readonly findings: Finding[] = [];
  readonly values = new Set<string>();
  readonly files = new Map<string, FileText>();
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #permissions: Permissions;
  /** Aliases and defaults share nodes: each is done, and reported, once. */
  readonly #done = new Map<TreeNode, TreeNode>();

  constructor(env: Readonly<Record<string, string | undefined>>, permissions: Permissions) {
    this.#env = env;
    this.#permissions = permissions;
  }

  node(node: TreeNode, path: Path): TreeNode {
    const known = this.#done.get(node);
    if (known) return known;
    const result = this.#compute(node, path);
    this.#done.set(node, result);
    return result;
  }

  #compute(node: TreeNode, path: Path): TreeNode {
    if (node.kind === 'scalar') return this.#scalar(node, path);
    if (node.kind === 'list')
      return { ...node, items: node.items.map((item, index) => this.node(item, [...path, index])) };
    const entries = new Map<string, MapEntry>();
    for (const [key, entry] of node.entries)
      entries.set(key, { ...entry, node: this.node(entry.node, [...path, key]) });
    return { ...node, entries };
  }

  /** Only what files say is a template: the environment and flags already are values. */
  #scalar(node: ScalarNode, path: Path): ScalarNode {
    if (typeof node.value !== 'string' || node.place.kind !== 'file' || !mayBeTemplate(node.value))
      return node;
    const template = parseTemplate(node.value);
    if (!template.ok) return this.#failed(node, path, template.reason);
    const { parts } = template;
    const [only] = parts;
    const whole = parts.length === 1 && only !== undefined && only.kind !== 'text';
    try {
      const value = this.#text(parts, node.place.span.source);
      if (value === node.value) return node;
      return { ...node, text: node.value, value, interpolated: true, ...(whole && { untyped: true }) };
    } catch (error) {
      if (error instanceof Unresolved) return this.#failed(node, path, error.message);
      throw error;
    }
  }

  #failed(node: ScalarNode, path: Path, message: string): ScalarNode {
    this.findings.push({ place: node.place, path, message, viaDefaults: node.viaDefaults ?? false });
    return { ...node, failed: true };
  }

  #text(parts: readonly TemplatePart[], source: SourceText): string {
    let text = '';
    for (const part of parts) {
      text += this.#part(part, source);
      if (text.length > MAX_FILE_BYTES) throw new Unresolved('the text is too long after interpolation');
    }
    return text;
  }

  #part(part: TemplatePart, source: SourceText): string {
    if (part.kind === 'text') return part.text;
    const value = part.kind === 'file' ? this.#file(part, source) : this.#variable(part, source);
    this.values.add(value);
    return value;
  }

  #variable(part: TemplatePart & { kind: 'variable' }, source: SourceText): string {
    if (source.remote && !this.#permissions.variable(part.name))
      throw new Unresolved(
        `a configuration from the network may not read the environment variable ${part.name}, unless ${ALLOW_VARIABLES} names it on this machine`,
      );
    const value = Object.hasOwn(this.#env, part.name) ? this.#env[part.name] : undefined;
    const strict = part.fallback !== undefined || part.required !== undefined;
    if (value !== undefined && !(strict && value === '')) return value;
    if (part.fallback) return this.#text(part.fallback, source);
    if (part.required) throw new Unresolved(`${part.name}: ${part.required}`);
    const state = value === '' ? 'empty' : 'not set';
    throw new Unresolved(
      `the environment variable ${part.name} is ${state} and has no default (\${${part.name}:-default})`,
    );
  }

  /** One trailing line break is an editor's, not the secret's. */
  #file(part: TemplatePart & { kind: 'file' }, source: SourceText): string {
    const name = this.#text(part.path, source);
    if (name.includes('\0')) throw new Unresolved('the file name holds a null byte');
    const path = resolve(source.directory, name);
    if (source.remote && !this.#permissions.file(path))
      throw new Unresolved(
        `a configuration from the network may not read ${showReference(part)}, unless ${ALLOW_FILES} names its directory on this machine`,
      );
    let file = this.files.get(path);
    if (!file) this.files.set(path, (file = readText(path, { regularOnly: true })));
    if (!file.ok) throw new Unresolved(`cannot read ${showReference(part)}: ${file.reason}`);
    return file.text.replace(/\r?\n$/, '');
  }
}
