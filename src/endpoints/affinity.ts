/** What keeps calls together, read from the call. */
import type { Exchange } from '../core/exchange.ts';
import { headerValue } from '../core/header-list.ts';

type KeyOf = (exchange: Exchange) => string | undefined;

export interface Affinity {
  /** The key of a call; undefined where it has none. */
  readonly keyOf: KeyOf;
  /** It stands in the body, which must be here first. */
  readonly needsBody: boolean;
}

/** Longer ones come from nobody who means well. */
const MAX_KEY = 1_024;

/** @param by as in `balance.affinity.by` @param prefixLength characters of a prompt that count */
export function affinityOf(by: readonly string[], prefixLength: number): Affinity {
  const readers = by.map((one) => readerOf(one, prefixLength));
  const read: KeyOf = (exchange) => {
    for (const reader of readers) {
      const key = reader(exchange);
      if (key) return key;
    }
    return undefined;
  };
  const keyOf: KeyOf = (exchange) => {
    if (exchange.affinity === undefined) exchange.affinity = read(exchange) ?? null;
    return exchange.affinity ?? undefined;
  };
  return { keyOf, needsBody: by.includes('prompt') };
}

function readerOf(one: string, prefixLength: number): KeyOf {
  const [kind = '', where = ''] = one.split(':');
  const name = where.toLowerCase();
  switch (kind) {
    case 'session':
      return sessionOf;
    case 'prompt':
      return (exchange) => promptOf(exchange, prefixLength);
    case 'agent':
      return ({ agentId }) => agentId;
    case 'header':
      return ({ request }) => headerValue(request.headers, name)?.slice(0, MAX_KEY);
    case 'cookie':
      return (exchange) => cookieOf(exchange, where);
    default:
      return ({ request }) => request.target.split(/[?#]/, 1)[0]?.split('/')[Number(where) + 1];
  }
}

function sessionOf({ request, upstream }: Exchange): string | undefined {
  const { sessionHeader } = upstream.dialect;
  return sessionHeader === undefined ? undefined : headerValue(request.headers, sessionHeader);
}

/** RFC 6265 §5.4: pairs in one field, parted by semicolons. */
function cookieOf({ request }: Exchange, name: string): string | undefined {
  const pairs = headerValue(request.headers, 'cookie')?.split(';') ?? [];
  const pair = pairs.map((text) => text.trim()).find((text) => text.startsWith(`${name}=`));
  return pair?.slice(name.length + 1, MAX_KEY);
}

/** Where the protocols put what comes before the conversation, and the conversation; in the order of the caches. */
const PROMPT_PARTS = [
  'tools',
  'system',
  'instructions',
  'systemInstruction',
  'messages',
  'contents',
  'input',
  'prompt',
];

/**
 * What caches of prompts go by: the model, and how the prompt begins. It stays the same while a conversation grows, from its
 * first turn on: what comes after the first words of the user does not count, however short all of it is.
 */
function promptOf(exchange: Exchange, length: number): string | undefined {
  const json = exchange.readJson();
  if (typeof json !== 'object' || json === null) return undefined;
  const { model } = exchange.call;
  let prompt = '';
  for (const part of PROMPT_PARTS) {
    const value = (json as Readonly<Record<string, unknown>>)[part];
    if (value === undefined || value === null) continue;
    prompt += beginningOf(value, length - prompt.length);
    if (prompt.length >= length) break;
  }
  return prompt === '' ? undefined : `${model ?? ''}\n${prompt.slice(0, length)}`;
}

/** A list is written entry by entry, so that its beginning does not depend on its end. */
function beginningOf(value: unknown, length: number): string {
  if (!Array.isArray(value)) return JSON.stringify(value);
  let text = '';
  for (const entry of value as readonly unknown[]) {
    text += JSON.stringify(entry);
    if (text.length >= length || isOfUser(entry)) break;
  }
  return text;
}

const isOfUser = (entry: unknown): boolean =>
  typeof entry === 'object' && entry !== null && (entry as { readonly role?: unknown }).role === 'user';
