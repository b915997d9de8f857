/** Cache-Control fields (RFC 9111 §5.2) as they are met: any case, quoted, twice, malformed. */

/** A name, then perhaps `=` and a quoted or plain argument. What fits nothing is passed over. */
const DIRECTIVE = /([^\s,=;"]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]*)))?/g;

/** Beyond about 68 years nothing is reckoned with (RFC 9111 §1.2.2). */
const MAX_SECONDS = 2 ** 31;

export class CacheControl {
  readonly #directives: ReadonlyMap<string, readonly string[]>;

  /** @param values all values of the field, in order */
  constructor(values: readonly string[]) {
    const directives = new Map<string, string[]>();
    for (const value of values)
      for (const [, name = '', quoted, plain] of value.matchAll(DIRECTIVE)) {
        const given = directives.get(name.toLowerCase());
        const argument = quoted ?? plain ?? '';
        if (given) given.push(argument);
        else directives.set(name.toLowerCase(), [argument]);
      }
    this.#directives = directives;
  }

  /** With an argument or without. */
  has(name: string): boolean {
    return this.#directives.has(name);
  }

  /** Without an argument; of `no-cache` or `private` this is the stricter form. */
  hasBare(name: string): boolean {
    return this.#directives.get(name)?.includes('') ?? false;
  }

  /**
   * The time that a directive states, in milliseconds; undefined where it is not there. What is stated twice counts as
   * the shorter, what cannot be read as 0.
   */
  ms(name: string): number | undefined {
    const given = this.#directives.get(name);
    return given && Math.min(...given.map(secondsIn)) * 1_000;
  }
}

const secondsIn = (text: string): number => (/^\d+$/.test(text) ? Math.min(Number(text), MAX_SECONDS) : 0);
