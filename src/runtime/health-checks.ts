/** From the section `healthCheck` to a checker that lives through reloads, for as long as the section stays as it is. */
import type { UpstreamConfig } from '../config/schema.ts';
import type { Attendant } from '../core/attendant.ts';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import type { EndpointSet } from '../endpoints/endpoint-set.ts';
import { HealthChecker } from '../health/checker.ts';
import type { CheckerOptions } from '../health/checker.ts';
import { ConfiguredProbes } from '../health/configured-probes.ts';
import type { HealthCheckOptions } from '../schema/health-check.ts';
import type { Inventory } from './inventory.ts';
import { tlsOptionsOf } from '../transport/tls-options.ts';

export interface HealthCheckDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  readonly upstream: string;
  readonly inventory: Inventory;
}

/** One attendant, or none where endpoints are not checked. */
export function healthChecks(
  config: UpstreamConfig,
  endpoints: EndpointSet,
  { clock, random, emit, upstream, inventory }: HealthCheckDeps,
): Attendant[] {
  const { healthCheck } = config;
  if (!healthCheck) return [];
  const tls = tlsOptionsOf(config.tls);
  const checker = inventory.keep(`${upstream}/health`, [healthCheck, tls], () => {
    const probes = new ConfiguredProbes(healthCheck, { clock, tls });
    return new HealthChecker(checkerOptionsOf(healthCheck), { clock, random, emit, upstream, probes });
  });
  return [{ start: () => checker.start(() => endpoints.members), stop: () => checker.stop() }];
}

const checkerOptionsOf = (options: HealthCheckOptions): CheckerOptions => ({
  intervalMs: options.interval,
  fastIntervalMs: options.fastInterval,
  timeoutMs: options.timeout,
  jitter: options.jitter,
  rise: options.rise,
  fall: options.fall,
  startGraceMs: options.startGrace,
  concurrency: options.concurrency,
});
