/** One configuration text and the arithmetic between offsets and the lines and columns that people see. */
import { dirname } from 'node:path';

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in Unicode characters (code points), so that an emoji before the place counts once. */
  readonly column: number;
}

export class SourceText {
  /** The file, or the key, as the user named it. */
  readonly name: string;
  /** Without a byte order mark. */
  readonly text: string;
  /** Where relative paths in it start. */
  readonly directory: string;
  /** It came over the network: not everybody who may write it may do everything here. */
  readonly remote: boolean;
  #lineStarts: readonly number[] | undefined;

  /** @param remote default: it is a file of this machine; what is none starts at the working directory */
  constructor(name: string, text: string, { remote = false }: { readonly remote?: boolean } = {}) {
    this.name = name;
    this.directory = remote ? '.' : dirname(name);
    this.remote = remote;
    this.text = text.startsWith('\uFEFF') ? text.slice(1) : text;
  }

  /** @param offset in UTF-16 units; past the end means the end */
  positionOf(offset: number): Position {
    const line = this.#lineOf(offset);
    const before = this.text.slice(this.#starts()[line - 1], offset);
    return { line, column: Array.from(before).length + 1 };
  }

  /** The line that holds `offset`, without its line break, and where it starts. */
  lineAround(offset: number): { readonly text: string; readonly start: number } {
    const starts = this.#starts();
    const line = this.#lineOf(offset);
    const start = starts[line - 1] ?? 0;
    const end = starts[line] ?? this.text.length;
    return { text: this.text.slice(start, end).replace(/[\r\n]+$/, ''), start };
  }

  #lineOf(offset: number): number {
    const starts = this.#starts();
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }

  #starts(): readonly number[] {
    if (!this.#lineStarts) {
      const starts = [0];
      // A lone carriage return ends a line in YAML too.
      for (const match of this.text.matchAll(/\r\n|\n|\r/g)) starts.push(match.index + match[0].length);
      this.#lineStarts = starts;
    }
    return this.#lineStarts;
  }
}
