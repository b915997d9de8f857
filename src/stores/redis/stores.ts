/** Everything that policies keep, shared with other sidecars, and by this process alone while Redis is away. */
import type { Stores } from '../../core/stores.ts';
import type { RedisConnection } from './connection.ts';
import { RedisHints } from './hints.ts';
import type { RedisHintsDeps } from './hints.ts';
import { RedisLimits } from './limits.ts';

export const redisStores = (connection: RedisConnection, local: Stores, deps: RedisHintsDeps): Stores => ({
  hints: new RedisHints(connection, deps),
  limits: new RedisLimits(connection, local.limits),
});
