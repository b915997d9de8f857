/** Who holds a place at an upstream, who waits for one, and who got none. */
import { CounterFamily, HistogramFamily } from '../cells.ts';
import { about, policyGauge, rounded } from '../topic.ts';
import type { Topic } from '../topic.ts';
import { DURATION_BUCKETS } from './buckets.ts';

const GAUGES = [
  {
    name: 'outrigger_bulkhead_active',
    help: 'Exchanges that hold a place, bodies included.',
    field: 'active',
  },
  { name: 'outrigger_bulkhead_queue_length', help: 'Exchanges that wait for a place.', field: 'queued' },
  { name: 'outrigger_bulkhead_limit', help: 'Places there are at present.', field: 'limit' },
] as const;

export const bulkhead: Topic = {
  metrics(bus, registry) {
    const waits = new HistogramFamily(registry, {
      name: 'outrigger_bulkhead_wait_seconds',
      help: 'Time that exchanges waited for a place, by how the wait ended.',
      labels: ['upstream', 'end'],
      buckets: DURATION_BUCKETS,
    });
    const refused = new CounterFamily(registry, {
      name: 'outrigger_bulkhead_refused_total',
      help: 'Exchanges that were refused because all places were taken, by why they did not wait, or no longer.',
      labels: ['upstream', 'why'],
    });
    bus.on('bulkhead-waited', ({ upstream, waitedMs, end }) =>
      waits.observe([upstream, end], waitedMs / 1_000),
    );
    bus.on('bulkhead-refused', ({ upstream, why }) => refused.add([upstream, why]));
  },

  gauges(registry, states) {
    for (const gauge of GAUGES) policyGauge(registry, states, { ...gauge, policy: 'bulkhead' });
  },

  log(bus, log) {
    bus.on('bulkhead-full', ({ upstream, limit }) =>
      log.info({ upstream, limit }, 'all places of the bulkhead are taken'),
    );
    bus.on('bulkhead-at-minimum', ({ upstream, limit }) =>
      log.warn({ upstream, limit }, 'the adaptive limit is down to its minimum'),
    );
    bus.on('bulkhead-waited', ({ exchange, upstream, waitedMs, end }) =>
      log.debug({ ...about(exchange), upstream, waitedMs: rounded(waitedMs), end }, 'waited for a place'),
    );
    bus.on('bulkhead-refused', ({ exchange, upstream, why }) =>
      log.warn(
        { ...about(exchange), upstream, reason: 'concurrency_limit', why },
        'no place in the bulkhead',
      ),
    );
  },

  journal(bus, note) {
    bus.on('bulkhead-full', ({ upstream, limit }) => note('bulkhead-full', upstream, { limit }));
    bus.on('bulkhead-at-minimum', ({ upstream, limit }) => note('bulkhead-at-minimum', upstream, { limit }));
  },
};
