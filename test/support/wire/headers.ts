/** Header fields as they stand on the wire: ordered pairs, duplicates and case kept. */

export type HeaderPairs = readonly (readonly [name: string, value: string])[];

/** What builders accept: pairs where order or duplicates matter, a record where they do not. */
export type HeadersInit = HeaderPairs | Readonly<Record<string, string | readonly string[]>>;

/** A malformed message; `message` says what is wrong with it. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

export function toPairs(headers: HeadersInit): HeaderPairs {
  if (isPairs(headers)) return headers;
  return Object.entries(headers).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).map((one) => [name, one] as const),
  );
}

function isPairs(headers: HeadersInit): headers is HeaderPairs {
  return Array.isArray(headers);
}

/** Every value of the field `name` (any case), in order. */
export function headerValues(headers: HeaderPairs, name: string): string[] {
  const wanted = name.toLowerCase();
  return headers.filter(([key]) => key.toLowerCase() === wanted).map(([, value]) => value);
}

/** Whether the comma-separated field `name` contains `token`, as in `Connection: keep-alive, Upgrade`. */
export function hasToken(headers: HeaderPairs, name: string, token: string): boolean {
  return headerValues(headers, name)
    .flatMap((value) => value.split(','))
    .some((part) => part.trim().toLowerCase() === token);
}

const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/s;
const forbiddenInValue = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Strict on purpose: a test peer that forgives would hide what the proxy did wrong. */
export function parseFieldLines(lines: readonly string[]): [string, string][] {
  return lines.map((line) => {
    const [, name, value] = fieldLine.exec(line) ?? [];
    if (name === undefined || value === undefined)
      throw new WireError(`not a header field: ${JSON.stringify(line)}`);
    if (forbiddenInValue.test(value)) throw new WireError(`control character in header ${name}`);
    return [name, value];
  });
}
