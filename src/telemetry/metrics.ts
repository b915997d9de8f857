/** All metrics of one sidecar, in one registry of its own. What is measured stands in the topics. */
import { Registry } from 'prom-client';
import type { Bus } from './bus.ts';
import type { States } from './states.ts';
import { TOPICS } from './topics/index.ts';

export class Metrics {
  readonly registry = new Registry();

  constructor(bus: Bus, states: States) {
    for (const topic of TOPICS) {
      topic.metrics?.(bus, this.registry);
      topic.gauges?.(this.registry, states, bus);
    }
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** The Prometheus text format. */
  text(): Promise<string> {
    return this.registry.metrics();
  }
}
