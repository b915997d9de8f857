/** Where state lives that outlasts a request, a process or a machine. */
import { z } from 'zod';
import { redisSchema, redisUrl } from '../schema/redis.ts';
import type { RedisOptions } from '../schema/redis.ts';
import { folderPath, positiveDuration } from '../schema/scalars.ts';

export const stateSchema = z
  .strictObject({
    dir: folderPath
      .optional()
      .describe('Directory for the snapshot that outlives a restart; it is made where there is none.'),
    interval: positiveDuration
      .prefault('5s')
      .describe('How often the snapshot is written while something changes.'),
    maxAge: positiveDuration.prefault('1h').describe('An older snapshot is not restored.'),
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
