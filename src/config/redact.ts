/** What may be shown of a value: never a secret, never what a `${…}` stood for. */
import type { SchemaView } from './schema-view.ts';
import { parseTemplate } from './template.ts';
import type { TemplatePart } from './template.ts';
import type { Scalar, ScalarNode } from './tree.ts';

export const HIDDEN = '***';

/** A stretch of a text and what is shown in its place. */
export interface Mask {
  readonly start: number;
  readonly end: number;
  readonly shown: string;
}

// Texts may be hostile: every pattern here is matched in linear time.
const WORD = /[^\s"'<>]+/g;
const QUERY_PARAMETER = /[?&]([\w.-]{1,64})=([^&\s"'#,}\]]+)/g;
const SECRET_PARAMETER = /key|token|secret|password|passwd|signature|^sig$|auth/i;
const AUTHORIZATION = /\b(bearer|basic)[ \t]{1,8}([^\s"'${][^\s"']*)/gi;

/** Credentials that are recognisable in any text: URL user information, secret query parameters, bearer tokens. */
export function credentialMasks(text: string): readonly Mask[] {
  const masks: Mask[] = [];
  const hide = (start: number, end: number): void => {
    if (end > start && !isReference(text.slice(start, end))) masks.push({ start, end, shown: HIDDEN });
  };
  for (const match of text.matchAll(WORD)) {
    const user = userInformation(match[0]);
    if (user) hide(match.index + user.start, match.index + user.end);
  }
  for (const match of text.matchAll(QUERY_PARAMETER)) {
    const [whole, name = '', value = ''] = match;
    if (SECRET_PARAMETER.test(name))
      hide(match.index + whole.length - value.length, match.index + whole.length);
  }
  for (const match of text.matchAll(AUTHORIZATION)) {
    const end = match.index + match[0].length;
    hide(end - (match[2]?.length ?? 0), end);
  }
  return masks;
}

/** `user:password` of a URL, also when the password holds characters that should have been escaped. */
function userInformation(word: string): { start: number; end: number } | undefined {
  const scheme = word.indexOf('://');
  if (scheme < 1) return undefined;
  const start = scheme + '://'.length;
  const length = word.slice(start).search(/[/?#]/);
  const authority = length < 0 ? word.slice(start) : word.slice(start, start + length);
  const at = authority.lastIndexOf('@');
  if (at >= 0) return { start, end: start + at };
  const later = word.lastIndexOf('@');
  return authority.includes(':') && later > start ? { start, end: later } : undefined;
}

const isReference = (text: string): boolean => /^\$\{[^}:]*\}$/.test(text);

/** Applies masks to a text; overlapping ones become one. */
export function applyMasks(text: string, masks: readonly Mask[]): string {
  let shown = '';
  let at = 0;
  for (const mask of [...masks].sort((a, b) => a.start - b.start)) {
    if (mask.end <= at) continue;
    if (mask.start >= at) shown += text.slice(at, mask.start) + mask.shown;
    at = mask.end;
  }
  return shown + text.slice(at);
}

export const hideCredentials = (text: string): string => applyMasks(text, credentialMasks(text));

/** Words that name the kind of a credential and are none themselves. */
const SCHEME_WORD = /^\s*(?:(?:Bearer|Basic|Token|ApiKey|Key)\s+)?$/i;

/** A secret template with only its references left: `Bearer ${KEY}` stays, `abc${X:-y}` becomes `***${X:-***}`. */
export function hideTemplateText(text: string): string {
  const template = parseTemplate(text);
  return template.ok ? showParts(template.parts) : HIDDEN;
}

/** One reference as it was written, defaults hidden, for messages about it. */
export const showReference = (part: TemplatePart): string => showPart(part);

const showParts = (parts: readonly TemplatePart[]): string => parts.map(showPart).join('');

function showPart(part: TemplatePart): string {
  if (part.kind === 'text') return SCHEME_WORD.test(part.text) ? part.text : HIDDEN;
  if (part.kind === 'file') return `\${file:${part.path.map(showPathPart).join('')}}`;
  if (part.fallback) return `\${${part.name}:-${showParts(part.fallback)}}`;
  return part.required === undefined ? `\${${part.name}}` : `\${${part.name}:?${part.required}}`;
}

const showPathPart = (part: TemplatePart): string => (part.kind === 'text' ? part.text : showPart(part));

/** Too short or too ordinary to be a secret, and helpful to see beside a mistake. */
const HARMLESS = /^(?:|~|null|true|false|-?\d{1,4}(?:\.\d+)?|\d{1,6}(?:ms|s|m|h|B|KiB|MiB|GiB))$/;

/** Secret by the schema; or in a place where it may be a misplaced secret, unless it cannot be one. */
export function mustHide(text: string, view: SchemaView): boolean {
  if (view.secret) return true;
  return (!view.known || view.holdsSecret) && !HARMLESS.test(text);
}

/**
 * A scalar as it may be printed: templates as written, secrets hidden, credentials in URLs hidden.
 * @param sensitive the schema marks the place as secret, or has no place for it
 */
export function printableScalar(node: ScalarNode, sensitive: boolean): Scalar {
  if (sensitive) return isTemplated(node) ? hideTemplateText(node.text) : HIDDEN;
  if (isTemplated(node)) return hideCredentials(node.text);
  return typeof node.value === 'string' ? hideCredentials(node.value) : node.value;
}

/** Written with `$`, whether it held references or only escapes. */
export const isTemplated = (node: ScalarNode): boolean => node.interpolated === true || node.failed === true;
