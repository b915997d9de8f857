/** The grammar of `${…}` inside a text: which parts are literal and which stand for something else. */

export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  /** `${NAME}`, `${NAME:-fallback}`, `${NAME:?message}`. */
  | {
      readonly kind: 'variable';
      readonly name: string;
      readonly fallback?: readonly TemplatePart[];
      readonly required?: string;
    }
  /** `${file:path}`. */
  | { readonly kind: 'file'; readonly path: readonly TemplatePart[] };

export type Template =
  | { readonly ok: true; readonly parts: readonly TemplatePart[] }
  | { readonly ok: false; readonly reason: string };

/** Nested fallbacks: enough for people, too little for a stack overflow. */
const MAX_NESTING = 8;

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;

class Malformed extends Error {}

/** Texts without `$` need no parsing. */
export const mayBeTemplate = (text: string): boolean => text.includes('$');

/** `$$` is a literal `$`; a `$` before anything but `{` is itself. */
export function parseTemplate(text: string): Template {
  try {
    const reader = new Reader(text);
    const parts = reader.parts(false, 0);
    return { ok: true, parts };
  } catch (error) {
    if (error instanceof Malformed) return { ok: false, reason: error.message };
    throw error;
  }
}

/** Writes a literal text so that reading it as a template gives it back. */
export const escapeTemplate = (text: string): string => text.replace(/\$(?=[${])/g, '$$$$');

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** @param nested ends at the closing brace instead of the end of the text */
  parts(nested: boolean, depth: number): readonly TemplatePart[] {
    const parts: TemplatePart[] = [];
    let literal = '';
    const flush = (): void => {
      if (literal !== '') parts.push({ kind: 'text', text: literal });
      literal = '';
    };
    for (;;) {
      if (this.#at >= this.#text.length) {
        if (nested) throw new Malformed('"${" without a closing "}"; write "$${" for a literal "${"');
        break;
      }
      if (nested && this.#text[this.#at] === '}') break;
      if (this.#text.startsWith('$$', this.#at)) {
        literal += '$';
        this.#at += 2;
      } else if (this.#text.startsWith('${', this.#at)) {
        flush();
        this.#at += 2;
        parts.push(this.#reference(depth + 1));
      } else {
        const end = this.#literalEnd();
        literal += this.#text.slice(this.#at, end);
        this.#at = end;
      }
    }
    flush();
    return parts;
  }

  /** One past the longest stretch without `$` or `}`; at least one character. */
  #literalEnd(): number {
    let end = this.#at + 1;
    while (end < this.#text.length && this.#text[end] !== '$' && this.#text[end] !== '}') end += 1;
    return end;
  }

  #reference(depth: number): TemplatePart {
    if (depth > MAX_NESTING) throw new Malformed(`"\${…}" nested more than ${MAX_NESTING} deep`);
    const part = this.#text.startsWith('file:', this.#at) ? this.#file(depth) : this.#variable(depth);
    if (this.#text[this.#at] !== '}')
      throw new Malformed(
        'expected ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:path}; write "$${" for a literal "${"',
      );
    this.#at += 1;
    return part;
  }

  #file(depth: number): TemplatePart {
    this.#at += 'file:'.length;
    const path = this.parts(true, depth);
    if (path.length === 0) throw new Malformed('${file:…} names no file');
    return { kind: 'file', path };
  }

  #variable(depth: number): TemplatePart {
    NAME.lastIndex = this.#at;
    const name = NAME.exec(this.#text)?.[0] ?? '';
    this.#at += name.length;
    const operator = name === '' ? '' : this.#text.slice(this.#at, this.#at + 2);
    if (operator !== ':-' && operator !== ':?') return { kind: 'variable', name: this.#named(name) };
    this.#at += 2;
    if (operator === ':-') return { kind: 'variable', name, fallback: this.parts(true, depth) };
    const end = this.#text.indexOf('}', this.#at);
    const message = this.#text.slice(this.#at, end < 0 ? this.#text.length : end);
    this.#at += message.length;
    return { kind: 'variable', name, required: message.trim() };
  }

  #named(name: string): string {
    if (name === '')
      throw new Malformed('expected a variable name after "${"; write "$${" for a literal "${"');
    return name;
  }
}
