/** Registrations for which there was no place: whoever is refused asks again, so they come in crowds that are one thing to tell. */
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { RegistryLimits } from '../schema/registry.ts';

/** After so long without a refusal it is over. */
const QUIET_MS = 60_000;

export type FullLimit = keyof Pick<RegistryLimits, 'maxInstances' | 'maxServices'>;

interface Episode {
  readonly since: number;
  lastAt: number;
  refused: number;
}

export class Refusals {
  readonly #deps: { readonly clock: Clock; readonly emit: Emit };
  readonly #episodes = new Map<FullLimit, Episode>();

  constructor(deps: { readonly clock: Clock; readonly emit: Emit }) {
    this.#deps = deps;
  }

  add(limit: FullLimit, service: string): void {
    const now = this.#deps.clock.now();
    const episode = this.#episodes.get(limit) ?? { since: now, lastAt: now, refused: 0 };
    this.#episodes.set(limit, episode);
    episode.lastAt = now;
    episode.refused += 1;
    this.#deps.emit('registry-full', { limit, service, refused: episode.refused });
  }

  /** Tells what is over; to be called now and then. */
  sweep(): void {
    const now = this.#deps.clock.now();
    for (const [limit, { since, lastAt, refused }] of this.#episodes) {
      if (now - lastAt < QUIET_MS) continue;
      this.#episodes.delete(limit);
      this.#deps.emit('registry-not-full', { limit, refused, lastedMs: Math.round(lastAt - since) });
    }
  }
}
