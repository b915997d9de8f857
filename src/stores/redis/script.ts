/** A piece of Lua that Redis runs as one step, known to it by its digest. */
import { createHash } from 'node:crypto';

export interface RedisScript {
  /** For metrics: one of a closed set. */
  readonly name: string;
  readonly lua: string;
  /** SHA-1 in hex digits, as EVALSHA wants it. */
  readonly sha: string;
}

export const redisScript = (name: string, lua: string): RedisScript => ({
  name,
  lua,
  sha: createHash('sha1').update(lua).digest('hex'),
});
