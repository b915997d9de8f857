/** Where state lives that outlasts a request, a process or a machine. */
import { z } from 'zod';
import { redisSchema, redisUrl } from '../schema/redis.ts';
import type { RedisOptions } from '../schema/redis.ts';

export const stateSchema = z
  .strictObject({
    redis: z
      .union([redisUrl, redisSchema])
      .optional()
      .describe('Redis server that sidecars share: its URL, or more about it.'),
  })
  .describe('What outlasts a request, a process or a machine.');

export type StateConfig = z.output<typeof stateSchema>;

/** The long form; undefined where sidecars share nothing. */
export const redisOptions = ({ redis }: StateConfig): RedisOptions | undefined =>
  typeof redis === 'string' ? redisSchema.parse({ url: redis }) : redis;
