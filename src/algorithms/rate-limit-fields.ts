/**
 * The structured fields `RateLimit` and `RateLimit-Policy`: `"default";r=50;t=30` with `"default";q=100;w=60`, and in the
 * older drafts `limit=100, remaining=50, reset=30` with `100;w=60`. Lenient: what cannot be read is left out.
 * @see draft-ietf-httpapi-ratelimit-headers-10, §2 and §3; RFC 9651
 */

export interface StructuredLimit {
  readonly remaining: number;
  readonly limit: number | undefined;
  readonly resetSeconds: number | undefined;
}

/** A count, alone or in front of its windows (`100, 100;w=60`). Negative ones and words say nothing. */
export function parseCount(text: string): number | undefined {
  const number = /^\s*(\d{1,15}(?:\.\d{1,9})?)\s*(?:[,;].*)?$/.exec(text)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** Of several policies that count requests, the one with the least left. Undefined when there is none. */
export function structuredLimit(field: string, policyField: string): StructuredLimit | undefined {
  const policies = policyField === '' ? [] : membersOf(policyField);
  const limits = membersOf(field).flatMap((member) => {
    const limit = limitOf(member, policies);
    return limit ? [limit] : [];
  });
  return limits.sort((a, b) => a.remaining - b.remaining)[0];
}

interface Member {
  readonly item: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** Quota units that are no requests: bytes, and what is under way at the same time. */
const OTHER_UNITS = /content-bytes|concurrent-requests/;

function limitOf({ item, parameters }: Member, policies: readonly Member[]): StructuredLimit | undefined {
  const numberAt = (...names: readonly string[]): number | undefined =>
    names.map((name) => parseCount(parameters.get(name) ?? '')).find((number) => number !== undefined);
  const remaining = numberAt('r', 'remaining');
  // The older form names no policy; where there is but one it is meant.
  const policy =
    policies.find((one) => one.item === item) ?? (policies.length === 1 ? policies[0] : undefined);
  if (remaining === undefined || OTHER_UNITS.test(policy?.parameters.get('qu') ?? '')) return undefined;
  const quota = policy && parseCount(policy.parameters.get('q') ?? policy.item);
  return { remaining, limit: numberAt('limit') ?? quota, resetSeconds: numberAt('t', 'reset') };
}

/** The members of a list, each with its parameters; of a dictionary, one member with everything in it. */
function membersOf(value: string): Member[] {
  const members = split(value, ',').map((text): Member => {
    const [item = '', ...parameters] = split(text, ';').map((part) => part.trim());
    return { item, parameters: new Map(parameters.map(pair)) };
  });
  if (!members.some(({ item }) => item.includes('=') && !item.startsWith('"'))) return members;
  return [{ item: '', parameters: new Map(members.map(({ item }) => pair(item))) }];
}

function pair(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

/** Splits where `separator` stands outside quotes. */
function split(text: string, separator: ',' | ';'): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '\\' && quoted) i += 1;
    else if (character === '"') quoted = !quoted;
    else if (character === separator && !quoted) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}
