/** What no single field can know: names that must exist, addresses that must differ, ladders that must not loop. */
import { fallbackTargets, staleStepOf } from '../policies/fallback.ts';
import type { FallbackOptions } from '../policies/fallback.ts';
import { checkAgent } from './check-agent.ts';
import { checkHealth } from './check-health.ts';
import { checkNeighbours } from './check-neighbours.ts';
import { checkSubsets } from './check-subsets.ts';
import { checkTls } from './check-tls.ts';
import { repeatedKeys } from '../schema/credentials.ts';
import type { RateLimitOptions } from '../schema/rate-limits.ts';
import { checkPrograms } from './check-programs.ts';
import type { CheckedSource, CheckProblem } from './load.ts';
import type { Config, UpstreamConfig } from './schema.ts';

/** @param source without it, everything counts as written on this machine */
export function checkConfig(config: Config, source?: CheckedSource): CheckProblem[] {
  return [
    ...checkRoutes(config),
    ...checkListeners(config),
    ...checkLadders(config),
    ...checkStaleSteps(config),
    ...checkThresholds(config),
    ...checkCredentials(config),
    ...checkDialects(config),
    ...checkTokenLimits(config),
    ...checkNeighbours(config),
    ...checkHealth(config),
    ...checkSubsets(config),
    ...checkTls(config),
    ...checkAgent(config),
    ...(source ? checkPrograms(config, source) : []),
    ...checkRegistry(config),
  ];
}

function checkRoutes({ upstreams }: Config): CheckProblem[] {
  const seen = new Map<string, string>();
  return Object.entries(upstreams).flatMap(([name, { route }]) => {
    if (route === undefined) return [];
    const other = seen.get(route);
    seen.set(route, name);
    return other === undefined
      ? []
      : [
          {
            path: ['upstreams', name, 'route'],
            message: `expected a route of its own, got ${route}, which is the route of ${other}`,
          },
        ];
  });
}

function checkListeners({ server, upstreams, registry, playground }: Config): CheckProblem[] {
  const seen = new Map([[server.listen, 'server.listen']]);
  const problems: CheckProblem[] = [];
  const claim = (address: string, path: readonly string[]): void => {
    const other = seen.get(address);
    if (other !== undefined && !address.endsWith(':0')) {
      problems.push({ path, message: `expected an address of its own, got ${address}, which is ${other}` });
    }
    seen.set(address, path.join('.'));
  };
  claim(server.admin, ['server', 'admin']);
  if (registry) claim(registry.listen, ['registry', 'listen']);
  if (playground) claim(playground.listen, ['playground', 'listen']);
  for (const [name, { listen }] of Object.entries(upstreams))
    if (listen !== undefined) claim(listen, ['upstreams', name, 'listen']);
  return problems;
}

type Policies = UpstreamConfig['policies'];

/** The policies of an upstream and those of its overrides, with the way to each. */
function allPoliciesOf(name: string, { policies, overrides }: UpstreamConfig): [string[], Policies][] {
  const below = Object.entries(overrides).map(([override, one]): [string[], Policies] => [
    ['upstreams', name, 'overrides', override, 'policies'],
    one.policies,
  ]);
  return [[['upstreams', name, 'policies'], policies], ...below];
}

const targetsOf = (policies: Policies): readonly string[] => {
  const { fallback } = policies as { fallback?: FallbackOptions | false };
  return fallback ? fallbackTargets(fallback) : [];
};

function checkLadders({ upstreams }: Config): CheckProblem[] {
  const targets = new Map<string, readonly string[]>();
  for (const [name, one] of Object.entries(upstreams))
    targets.set(
      name,
      allPoliciesOf(name, one).flatMap(([, policies]) => targetsOf(policies)),
    );
  return [...targets].flatMap(([name, names]) => {
    const path = ['upstreams', name, 'policies', 'fallback'];
    const unknown = names.filter((target) => !targets.has(target));
    const problems = unknown.map((target) => ({
      path,
      message: `expected the name of an upstream, got ${target}`,
    }));
    const cycle = findCycle(name, targets);
    return cycle
      ? [...problems, { path, message: `expected a ladder that ends, got a cycle: ${cycle.join(' → ')}` }]
      : problems;
  });
}

/** A step that answers with what a cache has needs one, in the overrides, too. */
function checkStaleSteps({ upstreams }: Config): CheckProblem[] {
  return Object.entries(upstreams).flatMap(([name, one]) => {
    const [base, ...overrides] = allPoliciesOf(name, one);
    if (!base) return [];
    // What an override does not name is as in the upstream's own policies; its problems are told there.
    return [base, ...overrides].flatMap(([at, own]) => {
      if (own !== base[1] && !('fallback' in own || 'cache' in own)) return [];
      const { fallback, cache } = { ...base[1], ...own } as {
        fallback?: FallbackOptions | false;
        cache?: unknown;
      };
      const step = fallback ? staleStepOf(fallback) : -1;
      if (!fallback || step < 0 || cache) return [];
      const ladder = [...('fallback' in own ? at : base[0]), 'fallback'];
      const steps = Array.isArray(fallback) ? ladder : [...ladder, 'steps'];
      const message = `expected a cache to answer from, but ${[...at, 'cache'].join('.')} is off`;
      return [{ path: [...steps, step, 'cache'], message }];
    });
  });
}

/** A way from `start` back to itself. */
function findCycle(start: string, targets: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const walk = (at: string, way: readonly string[]): string[] | undefined => {
    for (const next of targets.get(at) ?? []) {
      if (next === start) return [...way, next];
      if (way.includes(next)) continue;
      const found = walk(next, [...way, next]);
      if (found) return found;
    }
    return undefined;
  };
  return walk(start, [start]);
}

/** Bounds that contradict each other are mistakes, not wishes. */
function checkThresholds({ upstreams }: Config): CheckProblem[] {
  const all = Object.entries(upstreams).flatMap(([name, one]) => allPoliciesOf(name, one));
  return all.flatMap(([at, policies]) => {
    const { retry } = policies as { retry?: false | { backoff: { initial: number; max: number } } };
    if (!retry || retry.backoff.initial <= retry.backoff.max) return [];
    const path = [...at, 'retry', 'backoff', 'initial'];
    return [{ path, message: 'expected a delay that is not above backoff.max' }];
  });
}

/** No mistake, for a rotation may pass through it, but a pool smaller than it looks. */
function checkCredentials({ upstreams }: Config): CheckProblem[] {
  return Object.entries(upstreams).flatMap(([upstream, { credentials }]) =>
    credentials
      ? repeatedKeys(credentials).map(({ name, first }) => ({
          path: ['upstreams', upstream, 'credentials'],
          message: `the value of ${name} is that of ${first}: the two count as one`,
          severity: 'warning' as const,
        }))
      : [],
  );
}

/** Settings that do nothing where they stand. */
function checkDialects({ upstreams }: Config): CheckProblem[] {
  return Object.entries(upstreams).flatMap(([name, { dialect, overrides, mcp, a2a }]) => {
    const idle: [string, string][] = [];
    if (dialect === 'generic' && Object.keys(overrides).length > 0)
      idle.push(['overrides', 'no call fits: the generic dialect does not know what is called']);
    if (mcp !== undefined && dialect !== 'mcp') idle.push(['mcp', `not in use: the dialect is ${dialect}`]);
    if (a2a !== undefined && dialect !== 'a2a') idle.push(['a2a', `not in use: the dialect is ${dialect}`]);
    return idle.map(([key, message]) => ({
      path: ['upstreams', name, key],
      message,
      severity: 'warning' as const,
    }));
  });
}

/** Estimates that nobody ever puts right. */
function checkTokenLimits({ upstreams }: Config): CheckProblem[] {
  const generic = Object.entries(upstreams).filter(([, { dialect }]) => dialect === 'generic');
  return generic.flatMap(([name, one]) =>
    allPoliciesOf(name, one).flatMap(([at, { rateLimit }]) =>
      limitsTokens(rateLimit as RateLimitOptions | false | undefined)
        ? [
            {
              path: [...at, 'rateLimit'],
              message:
                'tokens are only estimated by size: the generic dialect does not know what was counted',
              severity: 'warning' as const,
            },
          ]
        : [],
    ),
  );
}

const limitsTokens = (options: RateLimitOptions | false | undefined): boolean =>
  options !== undefined &&
  options !== false &&
  ('limits' in options ? options.limits : [options]).some(({ tokens }) => tokens !== undefined);

function checkRegistry({ registry, state, upstreams }: Config): CheckProblem[] {
  const problems: CheckProblem[] = [];
  if (registry?.shared && state.redis === undefined) {
    const message = 'expected state.redis: registries share their instances through it';
    problems.push({ path: ['registry', 'shared'], message });
  }
  for (const [name, { discovery }] of Object.entries(upstreams)) {
    const { registry: from } = (discovery ?? {}) as { readonly registry?: { readonly url?: string } };
    if (!from || from.url !== undefined || registry) continue;
    const message = 'expected the URL of a registry: this sidecar has none of its own (registry)';
    problems.push({ path: ['upstreams', name, 'discovery', 'registry', 'url'], message });
  }
  return problems;
}
