/** Calls that wait for their provider's rate limits, and what is left of those. */
import type { Registry } from 'prom-client';
import { CounterFamily, HistogramFamily } from '../cells.ts';
import type { States } from '../states.ts';
import { about, policyGauge, rounded, rowsIn, upstreamGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';
import { DURATION_BUCKETS } from './buckets.ts';

export const pacing: Topic = {
  metrics(bus, registry) {
    const waits = new HistogramFamily(registry, {
      name: 'outrigger_pacing_wait_seconds',
      help: "Time that calls waited for the provider's rate limit, by how the wait ended.",
      labels: ['upstream', 'end'],
      buckets: DURATION_BUCKETS,
    });
    const refused = new CounterFamily(registry, {
      name: 'outrigger_pacing_refused_total',
      help: "Calls that were refused because the provider's rate limit leaves no room, by why they did not wait.",
      labels: ['upstream', 'why'],
    });
    bus.on('pacing-waited', ({ upstream, waitedMs, end }) =>
      waits.observe([upstream, end], waitedMs / 1_000),
    );
    bus.on('pacing-refused', ({ upstream, why }) => refused.add([upstream, why]));
  },

  gauges(registry, states) {
    limitGauge(registry, states, {
      name: 'outrigger_provider_limit',
      help: "The provider's own rate limit, as its headers say.",
      field: 'limit',
    });
    limitGauge(registry, states, {
      name: 'outrigger_provider_remaining',
      help: "What is left of the provider's rate limit, with what is under way taken off.",
      field: 'remaining',
    });
    policyGauge(registry, states, {
      name: 'outrigger_pacing_queue_length',
      help: "Calls that wait for the provider's rate limit.",
      policy: 'pacing',
      field: 'queued',
    });
  },

  log(bus, log) {
    bus.on('pacing-began', ({ upstream, obstacle }) =>
      log.info({ upstream, obstacle }, 'calls wait for the rate limit of the provider'),
    );
    bus.on('pacing-waited', ({ exchange, upstream, waitedMs, end }) =>
      log.debug({ ...about(exchange), upstream, waitedMs: rounded(waitedMs), end }, 'paced'),
    );
    bus.on('pacing-refused', ({ exchange, upstream, why }) =>
      log.warn({ ...about(exchange), upstream, reason: 'paced', why }, 'no room within the rate limit'),
    );
  },

  journal(bus, note) {
    bus.on('pacing-began', ({ upstream, obstacle }) =>
      note('pacing-began', upstream, obstacle === undefined ? {} : { obstacle }),
    );
  },
};

interface LimitGauge {
  readonly name: string;
  readonly help: string;
  readonly field: 'limit' | 'remaining';
}

function limitGauge(registry: Registry, states: States, { name, help, field }: LimitGauge): void {
  upstreamGauge(registry, states, {
    name,
    help,
    labels: ['dimension'],
    read: (upstream, set) => {
      for (const { dimension, [field]: value } of rowsIn(upstream.policy('pacing'), 'limits'))
        if (typeof value === 'number') set({ dimension: String(dimension) }, value);
    },
  });
}
