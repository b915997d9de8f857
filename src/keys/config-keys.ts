/**
 * The layers of the configuration that live in keys. Changes there are only hints, as those of files are: every reload reads
 * the keys anew.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import type { FileText } from '../schema/read-file.ts';
import { isKeyAddress, parseKeyAddress } from './key-address.ts';
import { KeyLayer } from './key-layer.ts';
import { keySettings } from './key-settings.ts';
import { keySource } from './key-source.ts';

export interface ConfigKeysDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

/** Where layers come from, as far as they are keys. */
export interface ConfigKeysInput {
  readonly files: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How long the first texts are waited for, in milliseconds. Default: what the environment says, or else 30 000. */
  readonly waitMs?: number;
}

/** Several changes in a row are one reload. */
const DEBOUNCE_MS = 200;

export class ConfigKeys {
  readonly #clock: Clock;
  readonly #layers: readonly KeyLayer[];
  /** Why those by these addresses cannot even be asked for. */
  readonly #unusable: ReadonlyMap<string, FileText>;
  #timer: TimerHandle | undefined;
  #disposed = false;

  constructor(input: ConfigKeysInput, deps: ConfigKeysDeps) {
    this.#clock = deps.clock;
    const layers: KeyLayer[] = [];
    const unusable = new Map<string, FileText>();
    for (const address of new Set(input.files.filter(isKeyAddress))) {
      const layer = layerOf(address, input, deps);
      if (typeof layer === 'string') unusable.set(address, { ok: false, reason: layer });
      else layers.push(layer);
    }
    this.#layers = layers;
    this.#unusable = unusable;
  }

  /** Each address, and whether its server is there. */
  get states(): readonly { readonly source: string; readonly up: boolean }[] {
    return this.#layers.map(({ address, up }) => ({ source: address, up }));
  }

  /**
   * What stands under the keys, by their addresses. At first a server that is away is waited for; later what stood there last
   * is good enough. Never rejects.
   */
  async fetch(): Promise<ReadonlyMap<string, FileText>> {
    const texts = this.#layers.map(async (layer) => [layer.address, await layer.text()] as const);
    return new Map([...this.#unusable, ...(await Promise.all(texts))]);
  }

  /** @param onChange told, a moment later, when other texts stand there than those known */
  follow(onChange: () => void): void {
    if (this.#disposed) return;
    for (const layer of this.#layers)
      layer.follow(() => {
        this.#timer ??= this.#clock.setBackgroundTimer(DEBOUNCE_MS, () => {
          this.#timer = undefined;
          onChange();
        });
      });
  }

  /** Idempotent. */
  dispose(): void {
    this.#disposed = true;
    if (this.#timer) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    for (const layer of this.#layers) layer.dispose();
  }
}

/** @returns why there can be none */
function layerOf(text: string, { env, waitMs }: ConfigKeysInput, deps: ConfigKeysDeps): KeyLayer | string {
  const address = parseKeyAddress(text);
  if (typeof address === 'string') return address;
  try {
    const settings = keySettings(env);
    const source = keySource(address, settings, deps);
    const options = { address: text, key: address.key, source, waitMs: waitMs ?? settings.waitMs };
    return new KeyLayer(options, deps);
  } catch (error) {
    return (error as Error).message;
  }
}
