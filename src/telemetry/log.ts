/** Structured logs: pino for what is rare, hand-built lines through the same destination for what happens every time. */
import pino from 'pino';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { ExchangeEnding } from '../core/exchange-ending.ts';
import { accessLine } from './access-line.ts';
import type { Bus } from './bus.ts';
import { LineBuffer } from './line-buffer.ts';
import type { Destination } from './line-buffer.ts';
import { TOPICS } from './topics/index.ts';

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly access: 'all' | 'errors' | 'off';
}

/** What may wait in memory for a reader that does not read. Lines beyond it are lost, and counted. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const FLUSH_MS = 250;
const SETTLE_MS = 1_000;

export class Log {
  readonly logger: pino.Logger;
  readonly #destination: ReturnType<typeof pino.destination>;
  readonly #lines: LineBuffer;
  readonly #clock: Clock;
  #options: LogOptions = { level: 'info', access: 'all' };
  #closed = false;
  #flushTimer: TimerHandle;
  readonly #ownsFile: boolean;

  /** @param fd where lines go; 1 is standard output */
  constructor(clock: Clock, fd: number | string = 1) {
    this.#clock = clock;
    this.#destination = pino.destination({
      dest: fd,
      contentMode: 'buffer',
      sync: false,
      minLength: 1,
      maxLength: MAX_WAITING_BYTES,
    });
    // A reader that went away must not end the process: there is nobody left to tell.
    this.#destination.on('error', () => undefined);
    // Its types know of strings only.
    this.#lines = new LineBuffer(this.#destination as unknown as Destination, () => clock.wallMs());
    this.logger = pino(
      { level: this.#options.level, base: null, formatters: { level: (label) => ({ level: label }) } },
      this.#lines,
    );
    this.#ownsFile = typeof fd === 'string';
    this.#flushTimer = this.#scheduleFlush();
  }

  configure(options: LogOptions): void {
    this.#options = options;
    this.logger.level = options.level;
  }

  listen(bus: Bus): void {
    bus.on('exchange-ended', (ending) => this.#access(ending));
    for (const topic of TOPICS) topic.log?.(bus, this.logger);
  }

  /**
   * Resolves when everything logged so far is written, at the latest after a second: a reader may have stopped reading.
   * To end in the middle of a write would lose its lines, or put later ones before them.
   */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(SETTLE_MS, resolve);
      const settle = (): void => {
        this.#clock.clearTimer(timer);
        resolve();
      };
      try {
        this.#lines.flush();
        // Asked for nothing while its file is being opened, the destination throws when that is open: nobody could catch it.
        if (this.#lines.used) this.#destination.flush(settle);
        else settle();
      } catch {
        settle();
      }
    });
  }

  /** Writes everything for the last time. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.clearTimer(this.#flushTimer);
    this.flush();
    // Standard output is the process's, a file is ours.
    if (this.#ownsFile) this.#destination.destroy();
  }

  /** Writes everything that was logged. Synchronous, so that the process may end right after. */
  flush(): void {
    try {
      this.#lines.flush();
      this.#destination.flushSync();
    } catch {
      // Not yet open, or the reader is gone: nothing can be written any more.
    }
  }

  #access(ending: ExchangeEnding): void {
    const { access } = this.#options;
    if (access === 'off' || (access === 'errors' && ending.result === 'ok')) return;
    // A client error is the client's business; what broke or failed is ours.
    const level = ending.reason === undefined && ending.status < 500 ? 'info' : 'warn';
    if (!this.logger.isLevelEnabled(level)) return;
    this.#lines.write(accessLine(level, this.#clock.wallMs(), ending));
  }

  #scheduleFlush(): TimerHandle {
    return this.#clock.setBackgroundTimer(FLUSH_MS, () => {
      this.#lines.flush();
      this.#flushTimer = this.#scheduleFlush();
    });
  }
}
