/** The caches of an upstream, as far as operators are concerned with them. */
import { Cache } from '../policies/cache.ts';
import type { LiveUpstream } from '../runtime/upstream.ts';

/** Its own and those of its overrides; empty when all are switched off. */
export const cachesOf = (upstream: LiveUpstream): Cache[] =>
  upstream.everyPolicy('cache').filter((policy) => policy instanceof Cache);
