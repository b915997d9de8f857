/** Where the policies of one generation keep what outlasts an exchange. What did not change is kept across reloads. */
import { redisOptions } from '../config/state-section.ts';
import type { StateConfig } from '../config/state-section.ts';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import type { SharedInstances } from '../core/shared-instances.ts';
import type { Stores } from '../core/stores.ts';
import { memoryStores } from '../stores/memory/stores.ts';
import type { MemoryStores } from '../stores/memory/stores.ts';
import { RedisConnection } from '../stores/redis/connection.ts';
import { RedisInstances } from '../stores/redis/instances.ts';
import { redisStores } from '../stores/redis/stores.ts';
import type { Inventory } from './inventory.ts';

export interface LiveStoresDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

export class LiveStores {
  /** What the shared stores are built from, as plain data; null where they are this process's own. */
  readonly description: unknown;
  /** Undefined where sidecars share nothing. */
  readonly redis: RedisConnection | undefined;
  /** Where registries share their instances; undefined where sidecars share nothing. */
  readonly instances: SharedInstances | undefined;
  readonly #own: MemoryStores;
  readonly #shared: Stores;

  /** Contacts nobody yet. */
  constructor(config: StateConfig, inventory: Inventory, deps: LiveStoresDeps) {
    this.#own = inventory.keep('state/memory', null, () => memoryStores(deps.clock));
    const options = redisOptions(config);
    this.description = options ?? null;
    if (!options) {
      this.#shared = this.#own;
      return;
    }
    const redis = inventory.keep('state/redis', options, () => new RedisConnection(options, deps));
    this.redis = redis;
    this.instances = inventory.keep('state/instances', options, () => new RedisInstances(redis));
    this.#shared = inventory.keep('state/shared', options, () => redisStores(redis, this.#own, deps));
  }

  /** @param shared whether what is kept is meant for all sidecars; where they share nothing it is this one's all the same */
  for(shared: boolean): Stores {
    return shared ? this.#shared : this.#own;
  }

  /** Resolves when Redis is up, or known to be away: then everyone decides locally. Never rejects. */
  async open(): Promise<void> {
    await this.redis?.open();
  }
}
