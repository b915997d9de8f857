/** All metrics of one sidecar, in one registry of its own. */
import { Registry } from 'prom-client';
import type { Bus } from '../bus.ts';
import { exchangeMetrics } from './exchanges.ts';
import { resilienceMetrics } from './resilience.ts';
import { stateMetrics } from './states.ts';
import type { States } from './states.ts';
import { usageMetrics } from './usage.ts';

export class Metrics {
  readonly #registry = new Registry();

  constructor(bus: Bus, states: States) {
    exchangeMetrics(bus, this.#registry);
    resilienceMetrics(bus, this.#registry);
    usageMetrics(bus, this.#registry);
    stateMetrics(bus, this.#registry, states);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
