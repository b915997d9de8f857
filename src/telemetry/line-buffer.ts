/** What takes the bytes; it says with `drop` which it could not keep. */
export interface Destination {
  write(bytes: Buffer): boolean;
  on(event: 'drop', listener: (bytes: Buffer) => void): unknown;
}

/** Bytes gathered before they are written. */
const BATCH_BYTES = 32 * 1024;
/** A character takes as many in UTF-8, at most. */
const MAX_BYTES_PER_CHAR = 3;
const LINE_FEED = 0x0a;

/**
 * Gathers log lines and writes them in batches: the destination measures everything that waits in it with every write,
 * which costs more per line than to make the line. They are gathered as bytes: handed over as a string, a batch would be
 * measured twice and encoded twice, a twentieth of all that an exchange costs us besides the network. What the
 * destination had to drop is told in a line of its own as soon as it takes lines again.
 */
export class LineBuffer {
  readonly #destination: Destination;
  readonly #wallMs: () => number;
  #batch = Buffer.allocUnsafeSlow(BATCH_BYTES);
  /** What waits stands between the two; before it is what the destination may still have to write. */
  #from = 0;
  #to = 0;
  #lost = 0;
  #used = false;

  constructor(destination: Destination, wallMs: () => number) {
    this.#destination = destination;
    this.#wallMs = wallMs;
    destination.on('drop', (bytes) => {
      for (const byte of bytes) if (byte === LINE_FEED) this.#lost += 1;
    });
  }

  /** The destination was given something, ever. */
  get used(): boolean {
    return this.#used;
  }

  /** @param line with its line feed */
  write(line: string): void {
    const most = line.length * MAX_BYTES_PER_CHAR;
    if (this.#to + most > this.#batch.length) {
      this.flush();
      this.#batch = Buffer.allocUnsafeSlow(Math.max(BATCH_BYTES, most));
      this.#from = this.#to = 0;
    }
    this.#to += this.#batch.write(line, this.#to);
  }

  /** Hands everything to the destination. */
  flush(): void {
    if (this.#from === this.#to) return;
    const batch = this.#batch.subarray(this.#from, this.#to);
    this.#from = this.#to;
    const lostBefore = this.#lost;
    this.#lost = 0;
    this.#used = true;
    this.#destination.write(lostBefore === 0 ? batch : Buffer.concat([this.#lossLine(lostBefore), batch]));
    // Dropped again, and the line about the loss with it: it counted itself, and must not count twice.
    if (this.#lost > 0 && lostBefore > 0) this.#lost += lostBefore - 1;
  }

  #lossLine(lines: number): Buffer {
    const line = `{"level":"warn","time":${this.#wallMs()},"lines":${lines},"msg":"log lines lost: the reader is too slow"}\n`;
    return Buffer.from(line);
  }
}
