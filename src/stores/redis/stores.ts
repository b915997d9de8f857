/** Everything that policies keep, shared with other sidecars, and by this process alone while Redis is away. */
import type { Stores } from '../../core/stores.ts';
import type { MemoryStores } from '../memory/stores.ts';
import { redisAnswers } from './answers.ts';
import type { RedisConnection } from './connection.ts';
import { RedisHints } from './hints.ts';
import type { RedisHintsDeps } from './hints.ts';
import { openRedisIdempotency } from './idempotency.ts';
import { RedisLimits } from './limits.ts';

export const redisStores = (
  connection: RedisConnection,
  local: MemoryStores,
  deps: RedisHintsDeps,
): Stores => ({
  hints: new RedisHints(connection, deps),
  limits: new RedisLimits(connection, local.limits),
  answers: redisAnswers(connection, local.answers, deps.clock),
  idempotency: openRedisIdempotency(connection, local.idempotency, deps.clock),
});
