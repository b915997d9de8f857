/**
 * One text for all JSON texts that say the same: no blanks, members sorted by name. It is made to name answers by, so that
 * two texts that any reader could take for different things must not become the same: numbers keep their digits, and a
 * name that stands twice in an object has no canonical form.
 */

/** Deeper nesting has no canonical form; nothing but an attack is as deep. */
const MAX_DEPTH = 200;

const BLANK = /[ \t\n\r]*/y;
const LITERAL = /[^ \t\n\r,\]}]+/y;

/** @returns undefined for what is no JSON, or has no canonical form */
export function canonicalJson(text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  return new Scanner(text).value(0);
}

/** Reads text that is known to be JSON. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): string | undefined {
    this.#skip(BLANK);
    const first = this.#text[this.#at];
    if (first === '"') return this.#string();
    if (depth >= MAX_DEPTH) return undefined;
    if (first === '{') return this.#object(depth + 1);
    if (first === '[') return this.#array(depth + 1);
    return this.#skip(LITERAL);
  }

  #object(depth: number): string | undefined {
    const members = new Map<string, string>();
    while (this.#enter('}')) {
      const name = this.#string();
      this.#skip(BLANK);
      this.#at += 1;
      const value = this.value(depth);
      if (value === undefined || members.has(name)) return undefined;
      members.set(name, value);
    }
    const sorted = [...members].sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${sorted.map(([name, value]) => `${name}:${value}`).join(',')}}`;
  }

  #array(depth: number): string | undefined {
    const items: string[] = [];
    while (this.#enter(']')) {
      const item = this.value(depth);
      if (item === undefined) return undefined;
      items.push(item);
    }
    return `[${items.join(',')}]`;
  }

  /** Goes to the next member, past a bracket or a comma; false where the end was there instead. */
  #enter(end: '}' | ']'): boolean {
    this.#skip(BLANK);
    const ended = this.#text[this.#at] === end;
    this.#at += 1;
    if (ended) return false;
    this.#skip(BLANK);
    if (this.#text[this.#at] !== end) return true;
    this.#at += 1;
    return false;
  }

  /** In its shortest form, whatever escapes it was written with. */
  #string(): string {
    const start = this.#at;
    let at = start + 1;
    let escaped = false;
    while (this.#text[at] !== '"') {
      if (this.#text[at] === '\\') {
        escaped = true;
        at += 1;
      }
      at += 1;
    }
    this.#at = at + 1;
    const raw = this.#text.slice(start, this.#at);
    return escaped ? JSON.stringify(JSON.parse(raw)) : raw;
  }

  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }
}
