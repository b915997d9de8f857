/** What a kind of discovery is made of. One file per kind, listed in `index.ts`. */
import type { z } from 'zod';
import type { Clock } from '../core/clock.ts';
import type { EndpointDescription } from '../core/endpoint.ts';
import type { Random } from '../core/random.ts';
import type { InstanceDirectory } from '../core/registry.ts';

export interface DiscoveryKind<O extends z.ZodType = z.ZodType> {
  /** Its name in the configuration. */
  readonly key: string;
  /** Its options, described. */
  readonly schema: O;
  /** Contacts nobody: that is for the start. */
  build(options: z.output<O>, deps: DiscoveryDeps): Discoverer;
}

export interface DiscoveryDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Name of the upstream that the list is for. */
  readonly upstream: string;
  readonly list: ListSink;
  /** The registry of this process; undefined where nobody gave one, as for a mere check of a configuration. */
  readonly registry?: InstanceDirectory | undefined;
}

/** Takes what was found. */
export interface ListSink {
  /**
   * The whole list as it is now. An empty one counts: whoever doubts it must not pass it on.
   * @param refused entries that could not be read, by name, and why: all that there are now, each is told of once
   */
  replace(endpoints: readonly EndpointDescription[], refused?: ReadonlyMap<string, string>): void;
  /**
   * The source is away, or says what cannot be true; the last good list stays.
   * @param message why, fit for a log line: no secrets
   */
  failed(message: string): void;
}

/** Follows a source until it is disposed of. Whatever goes wrong there, it goes on trying. */
export interface Discoverer {
  start(): void;
  /** Nothing of it runs on, and the sink hears nothing more. Idempotent, also without a start. */
  dispose(): void;
}
