/** The words of a problem: what a place expects and what it got, in YAML's terms rather than the schema library's. */
import type { z } from 'zod';
import { HIDDEN, hideCredentials, hideTemplateText, isTemplated, mustHide } from './redact.ts';
import { NO_OWN_WORDS } from './schema-view.ts';
import type { SchemaView } from './schema-view.ts';
import type { Scalar, ScalarNode, TreeNode } from './tree.ts';
import { scalarValue } from './values.ts';

export type Issue = z.core.$ZodIssue;

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  null: 'null',
  object: 'a map',
  record: 'a map',
  map: 'a map',
  array: 'a list',
  tuple: 'a list',
  set: 'a list',
  never: 'nothing',
};

const FORMATS: Readonly<Record<string, string>> = {
  url: 'a URL',
  email: 'an email address',
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
  cidrv4: 'an IPv4 range',
  cidrv6: 'an IPv6 range',
  uuid: 'a UUID',
};

const UNITS: Readonly<Record<string, readonly [one: string, many: string]>> = {
  string: ['character', 'characters'],
  array: ['entry', 'entries'],
  set: ['entry', 'entries'],
  map: ['entry', 'entries'],
};

/** What follows "expected", or a whole sentence where the schema has its own. */
export type IssueWords = ({ readonly expected: string } | { readonly sentence: string }) & {
  /** Not from here: the words may quote the value. */
  readonly foreign?: true;
};

export function issueWords(issue: Issue, node: TreeNode | undefined, view: SchemaView): IssueWords {
  if (issue.message !== NO_OWN_WORDS) return ownWords(issue.message);
  if (issue.code === 'invalid_type' && issue.expected === 'string') {
    const objection = view.objectionTo(node?.kind === 'scalar' ? node.text : '');
    if (objection !== undefined) return ownWords(objection);
  }
  return { expected: expectedWords(issue) };
}

const ownWords = (message: string): IssueWords =>
  message.startsWith('expected ')
    ? { expected: message.slice('expected '.length), foreign: true }
    : { sentence: message, foreign: true };

function expectedWords(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? `a value of type ${issue.expected}`;
    case 'invalid_value':
      return oneOf(
        issue.values.map((value) => (typeof value === 'string' ? JSON.stringify(value) : String(value))),
      );
    case 'too_small':
      return amount(
        issue.origin,
        issue.minimum,
        issue.exact ? 'exactly' : issue.inclusive ? 'at least' : 'more than',
      );
    case 'too_big':
      return amount(
        issue.origin,
        issue.maximum,
        issue.exact ? 'exactly' : issue.inclusive ? 'at most' : 'less than',
      );
    case 'invalid_format':
      return (
        FORMATS[issue.format] ??
        (issue.pattern ? `a string that matches ${issue.pattern}` : `a valid ${issue.format}`)
      );
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    default:
      return 'a valid value';
  }
}

function amount(origin: string, limit: number | bigint, relation: string): string {
  const unit = UNITS[origin];
  if (!unit) return `a number of ${relation} ${limit}`;
  return `${relation} ${limit} ${Number(limit) === 1 ? unit[0] : unit[1]}`;
}

/** `a`, `a or b`, `a, b or c`. */
export function oneOf(words: readonly string[]): string {
  const distinct = [...new Set(words)];
  const last = distinct.pop() ?? 'nothing';
  return distinct.length === 0 ? last : `${distinct.join(', ')} or ${last}`;
}

const LONGEST_SHOWN = 60;

/** What a place got, without telling secrets: what a template stood for and what may be a misplaced secret stay hidden. */
export function gotWords(node: TreeNode | undefined, view: SchemaView): string {
  if (!node) return view.hasDefault ? 'the default' : 'nothing; the key is required';
  if (node.kind === 'map') return node.entries.size === 0 ? 'an empty map' : 'a map';
  if (node.kind === 'list') return node.items.length === 0 ? 'an empty list' : 'a list';
  const hidden = mustHide(node.text, view);
  const value = scalarValue(node, view);
  if (isTemplated(node))
    return `${typeWord(value)} from ${shorten(hidden ? hideTemplateText(node.text) : hideCredentials(node.text))}`;
  if (value === null) return 'nothing (null)';
  if (hidden) return `${typeWord(value)} (${HIDDEN})`;
  if (typeof value !== 'string') return node.text;
  return `${shorten(JSON.stringify(hideCredentials(value)))}${quoteHint(node)}`;
}

/** `"5"` looks like a number to whoever wrote it. */
const quoteHint = (node: ScalarNode): string =>
  !node.plain && /^-?\d+(\.\d+)?$/.test(node.text) ? ' in quotes' : '';

function typeWord(value: Scalar): string {
  if (value === null) return 'nothing';
  if (typeof value === 'boolean') return 'true or false';
  return typeof value === 'number' ? 'a number' : 'a string';
}

export const shorten = (text: string): string =>
  text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN)}…`;
