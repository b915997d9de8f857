/** What takes the lines; it says with `drop` which text it could not keep. */
interface Destination {
  write(text: string): boolean;
  on(event: 'drop', listener: (text: string) => void): unknown;
}

/** Characters gathered before they are written. */
const BATCH_CHARS = 32 * 1024;

/**
 * Gathers log lines and writes them in batches: the destination measures everything that waits in it with every write,
 * which costs more per line than to make the line. What the destination had to drop is told in a line of its own as
 * soon as it takes lines again.
 */
export class LineBuffer {
  readonly #destination: Destination;
  readonly #wallMs: () => number;
  #waiting = '';
  #lost = 0;

  constructor(destination: Destination, wallMs: () => number) {
    this.#destination = destination;
    this.#wallMs = wallMs;
    destination.on('drop', (text) => {
      this.#lost += text.split('\n').length - 1;
    });
  }

  /** @param line with its line feed */
  write(line: string): void {
    this.#waiting += line;
    if (this.#waiting.length >= BATCH_CHARS) this.flush();
  }

  /** Hands everything to the destination. */
  flush(): void {
    const batch = this.#waiting;
    if (batch === '') return;
    this.#waiting = '';
    const lostBefore = this.#lost;
    this.#lost = 0;
    this.#destination.write(lostBefore === 0 ? batch : this.#lossLine(lostBefore) + batch);
    // Dropped again, and the line about the loss with it: it counted itself, and must not count twice.
    if (this.#lost > 0 && lostBefore > 0) this.#lost += lostBefore - 1;
  }

  #lossLine(lines: number): string {
    return `{"level":"warn","time":${this.#wallMs()},"lines":${lines},"msg":"log lines lost: the reader is too slow"}\n`;
  }
}
