/** The process itself: what runs, what it holds, how it stops. */
import { Counter, Gauge, collectDefaultMetrics } from 'prom-client';
import { gauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const processTopic: Topic = {
  metrics(bus, registry) {
    collectDefaultMetrics({ register: registry });
    new Counter({
      name: 'outrigger_telemetry_failures_total',
      help: 'Times that telemetry itself failed to hear an event.',
      registers: [registry],
      collect() {
        this.reset();
        this.inc(bus.failures);
      },
    });
  },

  gauges(registry, states) {
    gauge(registry, 'outrigger_tunnels', 'Upgraded connections that are open.', () => states.tunnels());
    gauge(registry, 'outrigger_replay_bytes', 'Memory that kept request bodies take.', () =>
      states.replayBytes(),
    );
    new Gauge({
      name: 'outrigger_build_info',
      help: 'Version of Outrigger and of Node.',
      labelNames: ['version', 'node'],
      registers: [registry],
    }).set({ version: states.version, node: process.versions.node }, 1);
  },

  log(bus, log) {
    bus.on('internal-error', ({ where, error }) => log.error({ where, err: error }, 'internal error'));
    bus.on('restart-needed', ({ setting }) => log.warn({ setting }, 'takes effect at the next start'));
    bus.on('drain-started', ({ active, timeoutMs }) => log.info({ active, timeoutMs }, 'draining'));
    bus.on('drain-ended', ({ brokenOff }) => log.info({ brokenOff }, 'drained'));
  },

  journal(bus, note) {
    bus.on('internal-error', ({ where, error }) =>
      note('internal-error', undefined, { where, message: error.message }),
    );
    bus.on('restart-needed', ({ setting }) => note('restart-needed', undefined, { setting }));
    bus.on('drain-started', ({ active }) => note('drain-started', undefined, { active }));
  },
};
