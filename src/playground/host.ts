/** Runs the playground while the configuration asks for one, and follows its changes. */
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import { MovingListener } from '../core/moving-listener.ts';
import type { Prepared } from '../core/moving-listener.ts';
import type { Random } from '../core/random.ts';
import type { PlaygroundOptions } from './schema.ts';
import { startPlayground } from './server.ts';
import type { Playground } from './server.ts';

export interface PlaygroundHostDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

export class PlaygroundHost {
  readonly #listener: MovingListener<PlaygroundOptions, Playground>;

  constructor(deps: PlaygroundHostDeps) {
    this.#listener = new MovingListener({
      open: (options) => startPlayground(options, deps),
      staysAt: (before, after) => before.listen === after.listen,
      lost: (error) => deps.emit('internal-error', { where: 'playground.listen', error }),
    });
  }

  get playground(): Playground | undefined {
    return this.#listener.server;
  }

  /** Opens what another `listen` needs. Rejects when the address cannot be had: the old playground then goes on as it was. */
  prepare(options: PlaygroundOptions | undefined): Promise<Prepared> {
    return this.#listener.prepare(options);
  }

  /** The playground is as these options say. Rejects as `prepare` does, where that did not come before. */
  configure(options: PlaygroundOptions | undefined): Promise<void> {
    return this.#listener.configure(options);
  }

  close(): Promise<void> {
    return this.#listener.close();
  }
}
