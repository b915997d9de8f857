/** One layer of the configuration that lives in a key. What stood there last stays while it cannot be read, or is gone. */
import { delays } from '../algorithms/backoff.ts';
import { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { sleep } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import { MAX_FILE_BYTES } from '../schema/read-file.ts';
import type { FileText } from '../schema/read-file.ts';
import type { KeySource, KeyText } from './key-source.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** The server that a layer of the configuration lives in does not answer. Once until it does. */
    'config-source-away': { readonly source: string; readonly message: string };
    'config-source-back': { readonly source: string; readonly awayMs: number };
    /** The key that a layer of the configuration lives in was deleted; what stood there last stays in force. */
    'config-key-missing': { readonly source: string };
  }
}

export interface KeyLayerOptions {
  /** As the operator wrote it; a name in logs and problems. */
  readonly address: string;
  readonly key: string;
  readonly source: KeySource;
  /** How long the first text is waited for, in milliseconds. */
  readonly waitMs: number;
}

export interface KeyLayerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

const FIRST_DELAYS = {
  kind: 'exponential',
  initialMs: 200,
  maxMs: 3_000,
  multiplier: 2,
  jitter: 'equal',
  jitterRatio: 0,
} as const;

export class KeyLayer {
  readonly #options: KeyLayerOptions;
  readonly #deps: KeyLayerDeps;
  readonly #disposed = new Cancellation();
  #known: KeyText;
  #awaySince: number | undefined;
  #isMissing = false;
  #followed = false;

  constructor(options: KeyLayerOptions, deps: KeyLayerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get address(): string {
    return this.#options.address;
  }

  get up(): boolean {
    return this.#awaySince === undefined;
  }

  /** What stands there now, or else what stood there last. At first it waits for a server that is away. Never rejects. */
  async text(): Promise<FileText> {
    if (this.#known === undefined) return this.#first();
    // Whoever follows it hears when the server is back; until then nobody waits for it.
    if (this.up || !this.#followed) await this.#read();
    return content(this.#known);
  }

  /** @param onChange told when another text stands there than the one known */
  follow(onChange: () => void): void {
    this.#followed = true;
    this.#options.source.follow({
      onText: (text) => {
        if (this.#heard(text)) onChange();
      },
      onFailed: (message) => this.#failed(message),
    });
  }

  dispose(): void {
    this.#disposed.cancel('superseded');
    this.#options.source.dispose();
  }

  async #read(): Promise<void> {
    try {
      this.#heard(await this.#options.source.read());
    } catch (error) {
      // What is followed is away when its follower says so: it alone hears of the return where nothing has changed.
      if (!this.#followed) this.#failed((error as Error).message);
    }
  }

  async #first(): Promise<FileText> {
    const { clock, random } = this.#deps;
    const { source, key, waitMs } = this.#options;
    const until = clock.now() + waitMs;
    const delay = delays(FIRST_DELAYS, random);
    for (;;) {
      try {
        const text = await source.read();
        this.#isBack();
        if (text === undefined) return { ok: false, reason: `there is no key ${JSON.stringify(key)}` };
        this.#heard(text);
        return content(text);
      } catch (error) {
        const { message } = error as Error;
        this.#failed(message);
        const leftMs = until - clock.now();
        if (wasRefused(error) || leftMs <= 0 || this.#disposed.cancelled)
          return { ok: false, reason: message };
        await sleep(clock, Math.min(leftMs, delay()), this.#disposed);
      }
    }
  }

  /** @returns whether it is another text than the one known */
  #heard(text: KeyText): boolean {
    this.#isBack();
    if (text === undefined) {
      if (!this.#isMissing) this.#deps.emit('config-key-missing', { source: this.address });
      this.#isMissing = true;
      return false;
    }
    this.#isMissing = false;
    const isOther = text !== this.#known;
    this.#known = text;
    return isOther;
  }

  /** The server answers. */
  #isBack(): void {
    const { clock, emit } = this.#deps;
    if (this.#awaySince === undefined) return;
    const awayMs = Math.round(clock.now() - this.#awaySince);
    this.#awaySince = undefined;
    emit('config-source-back', { source: this.address, awayMs });
  }

  #failed(message: string): void {
    if (this.#awaySince !== undefined || this.#disposed.cancelled) return;
    this.#awaySince = this.#deps.clock.now();
    this.#deps.emit('config-source-away', { source: this.address, message });
  }
}

/** The server is there and says no: waiting does not help. */
const wasRefused = (error: unknown): boolean =>
  error instanceof Error &&
  'status' in error &&
  typeof error.status === 'number' &&
  error.status >= 400 &&
  error.status < 500;

const content = (text: string): FileText =>
  Buffer.byteLength(text) > MAX_FILE_BYTES
    ? { ok: false, reason: `it is larger than ${MAX_FILE_BYTES} bytes` }
    : { ok: true, text };
