/** Policies that take something for granted which another one does: without it they work, but not as one would think. */
import type { FallbackOptions } from '../policies/fallback.ts';
import { fallbackTargets } from '../policies/fallback.ts';
import type { CheckProblem } from './load.ts';
import type { Config, UpstreamConfig } from './schema.ts';

interface Policies {
  readonly cache?: false | { readonly models?: unknown };
  readonly commitGate?: unknown;
  readonly fallback?: FallbackOptions | false;
  readonly idempotency?: unknown;
}

export function checkNeighbours(config: Config): CheckProblem[] {
  return Object.entries(config.upstreams).flatMap(([name, upstream]) =>
    [...blindCache(name, upstream), ...forgetfulLadder(name, config)].map(({ path, message }) => ({
      path,
      message,
      severity: 'warning' as const,
    })),
  );
}

const policiesOf = (upstream: UpstreamConfig | undefined): Policies => upstream?.policies ?? {};

function blindCache(name: string, upstream: UpstreamConfig): CheckProblem[] {
  const { cache, commitGate } = policiesOf(upstream);
  if (!cache || !cache.models || commitGate !== false) return [];
  return [
    {
      path: ['upstreams', name, 'policies', 'cache', 'models'],
      message: 'answers with an error inside, and streams that ended early, are kept: commitGate is off',
    },
  ];
}

/** A stored failure leads up the ladder again; only the key's own store on that rung makes it run once there, too. */
function forgetfulLadder(name: string, { upstreams }: Config): CheckProblem[] {
  const { fallback, idempotency } = policiesOf(upstreams[name]);
  if (!fallback || !idempotency) return [];
  return fallbackTargets(fallback)
    .filter((target) => upstreams[target] !== undefined && !policiesOf(upstreams[target]).idempotency)
    .map((target) => ({
      path: ['upstreams', name, 'policies', 'fallback'],
      message: `${target} may run a call with a key twice: it has no idempotency policy`,
    }));
}
