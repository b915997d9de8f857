/** Every metric as it is registered, with what the scrape does not show before something happened. */
import { Bus } from '../../src/telemetry/bus.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

export interface RegisteredMetric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

export function registeredMetrics(): RegisteredMetric[] {
  const { registry } = new Metrics(new Bus(), {
    version: '0',
    wallTime: () => new Date(),
    generation: () => 1,
    configHash: () => '',
    tunnels: () => 0,
    replayBytes: () => 0,
    storeIsUp: () => undefined,
    agent: () => undefined,
    registry: () => undefined,
    configSources: () => [],
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
