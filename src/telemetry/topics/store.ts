/** The Redis server that sidecars share: whether it is there, and how it answers. */
import { Gauge } from 'prom-client';
import { CounterFamily, HistogramFamily } from '../cells.ts';
import { rounded } from '../topic.ts';
import type { Topic } from '../topic.ts';

/** From a server beside us to the longest bound that makes sense. */
const REPLY_BUCKETS = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

export const store: Topic = {
  metrics(bus, registry) {
    const commands = new CounterFamily(registry, {
      name: 'outrigger_store_commands_total',
      help: 'Commands for Redis, by what became of them.',
      labels: ['script', 'result'],
    });
    const took = new HistogramFamily(registry, {
      name: 'outrigger_store_command_seconds',
      help: 'Time that commands for Redis were waited for, those that were not sent left out.',
      labels: ['script'],
      buckets: REPLY_BUCKETS,
    });
    const outages = new CounterFamily(registry, {
      name: 'outrigger_store_outages_total',
      help: 'Times that Redis was found to be away.',
      labels: [],
    });
    bus.on('store-command', ({ script, result, tookMs }) => {
      commands.add([script, result]);
      if (result !== 'away') took.observe([script], tookMs / 1_000);
    });
    bus.on('store-away', () => outages.add([]));
  },

  gauges(registry, states) {
    new Gauge({
      name: 'outrigger_store_up',
      help: 'Whether Redis is shared: 1, or 0 while it is away. Absent where none is configured.',
      registers: [registry],
      collect() {
        this.reset();
        const up = states.storeIsUp();
        if (up === undefined) this.remove();
        else this.set(up ? 1 : 0);
      },
    });
  },

  log(bus, log) {
    bus.on('store-away', ({ reason }) => log.warn({ reason }, 'Redis is away; deciding locally'));
    bus.on('store-back', ({ reason, awayMs }) =>
      log.info({ reason, awayMs: rounded(awayMs) }, 'Redis is back'),
    );
  },

  journal(bus, note) {
    bus.on('store-away', ({ reason }) => note('store-away', undefined, { reason }));
    bus.on('store-back', ({ awayMs }) => note('store-back', undefined, { awayMs: Math.round(awayMs) }));
  },
};
