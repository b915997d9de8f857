/**
 * Header fields as they travel: a flat list of name, value, name, value, … Order, case and duplicates survive, and
 * no name (`__proto__`, `constructor`) can do harm, which is not true of an object.
 */
export type HeaderList = readonly string[];

const sameName = (name: string, lowerCaseName: string): boolean =>
  name.length === lowerCaseName.length && (name === lowerCaseName || name.toLowerCase() === lowerCaseName);

/** The first value of the field, or undefined. `lowerCaseName` must be in lower case. */
export function headerValue(headers: HeaderList, lowerCaseName: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (sameName(headers[i] as string, lowerCaseName)) return headers[i + 1];
  }
  return undefined;
}

/** All values of the field, in order. */
export function headerValues(headers: HeaderList, lowerCaseName: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (sameName(headers[i] as string, lowerCaseName)) values.push(headers[i + 1] as string);
  }
  return values;
}

export const hasHeader = (headers: HeaderList, lowerCaseName: string): boolean =>
  headerValue(headers, lowerCaseName) !== undefined;

/** A copy without the named fields. */
export function withoutHeaders(headers: HeaderList, lowerCaseNames: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!lowerCaseNames.has((headers[i] as string).toLowerCase()))
      kept.push(headers[i] as string, headers[i + 1] as string);
  }
  return kept;
}

/** A copy in which the field has exactly this value. */
export function withHeader(headers: HeaderList, name: string, value: string): string[] {
  const kept = withoutHeaders(headers, new Set([name.toLowerCase()]));
  kept.push(name, value);
  return kept;
}

/**
 * Fields that concern one connection only and are never forwarded (RFC 9110 §7.6.1). `proxy-authenticate` and
 * `proxy-authorization` are addressed to us; `expect` was answered by our server.
 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Fields that a peer must not be able to remove by naming them in Connection: they decide framing, routing or
 * identity, and naming them is a known attack.
 */
const NOT_NOMINABLE: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'content-type',
  'cookie',
  'host',
  'trailer',
]);

/** Connection options that every client sends and that nominate nothing. */
const PLAIN_OPTION = /^(?:keep-alive|close)$/i;

/** The names that a message's Connection fields nominate as hop-by-hop. */
function nominated(headers: HeaderList): Set<string> {
  const names = new Set<string>();
  for (const value of headerValues(headers, 'connection')) {
    for (const part of value.split(',')) {
      const name = part.trim().toLowerCase();
      if (name !== '' && !PLAIN_OPTION.test(name) && !NOT_NOMINABLE.has(name)) names.add(name);
    }
  }
  return names;
}

/** Picks the end-to-end fields out of a message's head, for whoever goes through it anyway. */
export class EndToEndFields {
  readonly #kept: string[] = [];
  #nominates = false;

  /** A field of the head; the next one in its order. */
  add(name: string, lowerCaseName: string, value: string): void {
    if (HOP_BY_HOP.has(lowerCaseName))
      this.#nominates ||= lowerCaseName === 'connection' && !PLAIN_OPTION.test(value);
    else this.#kept.push(name, value);
  }

  /** @param all the whole head, in which Connection may nominate further hop-by-hop fields */
  of(all: HeaderList): string[] {
    return this.#nominates ? withoutHeaders(this.#kept, nominated(all)) : this.#kept;
  }
}

/** A copy with only end-to-end fields: hop-by-hop ones, those nominated in Connection and `alsoWithout` are gone. */
export function endToEndHeaders(headers: HeaderList, alsoWithout?: ReadonlySet<string>): string[] {
  const fields = new EndToEndFields();
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const lower = name.toLowerCase();
    if (!alsoWithout?.has(lower)) fields.add(name, lower, headers[i + 1] as string);
  }
  return fields.of(headers);
}
