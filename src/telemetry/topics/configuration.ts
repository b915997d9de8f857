/** Which configuration is in force, and what became of others. */
import { Gauge } from 'prom-client';
import { CounterFamily } from '../cells.ts';
import { gauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const configuration: Topic = {
  metrics(bus, registry) {
    const reloads = new CounterFamily(registry, {
      name: 'outrigger_config_reloads_total',
      help: 'Configurations that were read, by what became of them.',
      labels: ['result'],
    });
    reloads.create(['applied']);
    reloads.create(['rejected']);
    bus.on('config-applied', () => reloads.add(['applied']));
    bus.on('config-rejected', () => reloads.add(['rejected']));
  },

  gauges(registry, states, bus) {
    let appliedAt = 0;
    bus.on('config-applied', () => {
      appliedAt = states.wallTime().getTime() / 1_000;
    });
    gauge(
      registry,
      'outrigger_config_applied_timestamp_seconds',
      'When the configuration in force was applied.',
      () => appliedAt,
    );
    gauge(
      registry,
      'outrigger_config_generation',
      'Number of the configuration in force, counted from 1.',
      () => states.generation(),
    );
    new Gauge({
      name: 'outrigger_config_info',
      help: 'Hash of the configuration in force.',
      labelNames: ['hash'],
      registers: [registry],
      collect() {
        this.reset();
        this.set({ hash: states.configHash() }, 1);
      },
    });
  },

  log(bus, log) {
    bus.on('config-applied', ({ generation, hash, upstreams, cause }) =>
      log.info({ generation, hash, upstreams, cause }, 'configuration applied'),
    );
    bus.on('config-rejected', ({ problems, cause }) =>
      log.error(
        {
          cause,
          problems: problems.map(
            ({ file, line, column, path, message }) => `${file}:${line}:${column}: ${path}: ${message}`,
          ),
        },
        'configuration rejected; the one in force serves on',
      ),
    );
  },

  journal(bus, note) {
    bus.on('config-applied', ({ generation, hash, cause }) =>
      note('config-applied', undefined, { generation, hash, cause }),
    );
    bus.on('config-rejected', ({ problems, cause }) =>
      note('config-rejected', undefined, { problems: problems.length, cause }),
    );
  },
};
