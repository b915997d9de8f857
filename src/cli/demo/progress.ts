/** A progress bar on one line of a terminal; silent where nobody watches. */
import type { Io } from '../command.ts';

const WIDTH = 40;

export class Progress {
  readonly #io: Io;
  readonly #label: string;
  readonly #total: number;
  #done = 0;

  constructor(io: Io, label: string, total: number) {
    this.#io = io;
    this.#label = label;
    this.#total = total;
  }

  readonly step = (): void => {
    this.#done += 1;
    if (!this.#io.interactive) return;
    const filled = Math.round((WIDTH * this.#done) / this.#total);
    const bar = '#'.repeat(filled) + '.'.repeat(WIDTH - filled);
    this.#io.err(`\r${this.#label.padEnd(18)} [${bar}] ${this.#done}/${this.#total}`);
  };

  /** Leaves an empty line behind. */
  end(): void {
    if (this.#io.interactive) this.#io.err('\r\x1b[K');
  }
}
