/** Every metric as it is registered, with what the scrape does not show before something happened. */
import { Registry } from 'prom-client';
import { Bus } from '../../src/telemetry/bus.ts';
import { exchangeMetrics } from '../../src/telemetry/metrics/exchanges.ts';
import { resilienceMetrics } from '../../src/telemetry/metrics/resilience.ts';
import { stateMetrics } from '../../src/telemetry/metrics/states.ts';
import { usageMetrics } from '../../src/telemetry/metrics/usage.ts';

export interface RegisteredMetric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

export function registeredMetrics(): RegisteredMetric[] {
  const registry = new Registry();
  const bus = new Bus();
  exchangeMetrics(bus, registry);
  resilienceMetrics(bus, registry);
  usageMetrics(bus, registry);
  stateMetrics(bus, registry, {
    version: '0',
    wallTime: () => new Date(),
    generation: () => 1,
    configHash: () => '',
    tunnels: () => 0,
    replayBytes: () => 0,
    upstreams: () => [],
  });
  return registry.getMetricsAsArray().map((metric) => {
    const {
      name,
      type,
      labelNames = [],
    } = metric as unknown as {
      readonly name: string;
      readonly type: string;
      readonly labelNames?: readonly string[];
    };
    return { name, type, labels: [...labelNames] };
  });
}
