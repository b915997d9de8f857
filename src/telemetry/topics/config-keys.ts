/** Layers of the configuration that live in keys: whether their servers are there, and what became of the keys. */
import { Gauge } from 'prom-client';
import { CounterFamily } from '../cells.ts';
import type { Topic } from '../topic.ts';

export const configKeys: Topic = {
  metrics(bus, registry) {
    const outages = new CounterFamily(registry, {
      name: 'outrigger_config_source_outages_total',
      help: 'Times that the server of a layer of the configuration was found to be away.',
      labels: ['source'],
    });
    bus.on('config-source-away', ({ source }) => outages.add([source]));
  },

  gauges(registry, states) {
    new Gauge({
      name: 'outrigger_config_source_up',
      help: 'Whether the server of a layer of the configuration is there: 1, or 0 while it is away.',
      labelNames: ['source'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { source, up } of states.configSources()) this.set({ source }, up ? 1 : 0);
      },
    });
  },

  log(bus, log) {
    bus.on('config-source-away', ({ source, message }) =>
      log.warn({ source, error: message }, 'configuration cannot be read; the one in force serves on'),
    );
    bus.on('config-source-back', (event) => log.info(event, 'configuration can be read again'));
    bus.on('config-key-missing', ({ source }) =>
      log.warn({ source }, 'the key of the configuration is gone; what stood there last serves on'),
    );
  },

  journal(bus, note) {
    bus.on('config-source-away', (event) => note('config-source-away', undefined, event));
    bus.on('config-source-back', (event) => note('config-source-back', undefined, event));
    bus.on('config-key-missing', (event) => note('config-key-missing', undefined, event));
  },
};
