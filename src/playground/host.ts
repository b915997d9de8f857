/** Runs the playground while the configuration asks for one, and follows its changes. */
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { PlaygroundOptions } from './schema.ts';
import { startPlayground } from './server.ts';
import type { Playground } from './server.ts';

export class PlaygroundHost {
  readonly #deps: { readonly clock: Clock; readonly random: Random };
  #running: { readonly playground: Playground; readonly fixed: string } | undefined;

  constructor(deps: { readonly clock: Clock; readonly random: Random }) {
    this.#deps = deps;
  }

  get playground(): Playground | undefined {
    return this.#running?.playground;
  }

  /** Rejects when the address is not free. Faults change in place; everything else takes a new start. */
  async configure(options: PlaygroundOptions | undefined): Promise<void> {
    if (!options) return this.close();
    const { faults, ...rest } = options;
    const fixed = JSON.stringify(rest);
    if (this.#running?.fixed === fixed) {
      this.#running.playground.setFaults(faults);
      return;
    }
    await this.close();
    this.#running = { playground: await startPlayground(options, this.#deps), fixed };
  }

  async close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.playground.close();
  }
}
