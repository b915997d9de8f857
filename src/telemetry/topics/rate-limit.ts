/** Calls that our own limits made wait, or refused; what providers throttle is told by classes of attempts. */
import { CounterFamily, HistogramFamily } from '../cells.ts';
import { about, policyGauge, rounded, rowsIn, upstreamGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';
import { DURATION_BUCKETS } from './buckets.ts';

export const rateLimit: Topic = {
  metrics(bus, registry) {
    const refused = new CounterFamily(registry, {
      name: 'outrigger_rate_limited_total',
      help: 'Calls that our own rate limits refused, by the limit and by why they did not wait.',
      labels: ['upstream', 'limit', 'why'],
    });
    const waits = new HistogramFamily(registry, {
      name: 'outrigger_rate_limit_wait_seconds',
      help: 'Time that calls waited for room within our own rate limits, by how the wait ended.',
      labels: ['upstream', 'end'],
      buckets: DURATION_BUCKETS,
    });
    bus.on('rate-limited', ({ upstream, limit, why }) => refused.add([upstream, limit, why]));
    bus.on('rate-limit-waited', ({ upstream, waitedMs, end }) =>
      waits.observe([upstream, end], waitedMs / 1_000),
    );
  },

  gauges(registry, states) {
    upstreamGauge(registry, states, {
      name: 'outrigger_rate_limit_remaining',
      help: 'What is left of our own rate limits for a whole upstream, as it was when last asked and has come back since.',
      labels: ['limit'],
      read: (upstream, set) => {
        for (const { limit, remaining } of rowsIn(upstream.policy('rate-limit'), 'limits'))
          if (typeof remaining === 'number') set({ limit: String(limit) }, remaining);
      },
    });
    policyGauge(registry, states, {
      name: 'outrigger_rate_limit_queue_length',
      help: 'Calls that wait for room within our own rate limits.',
      policy: 'rate-limit',
      field: 'queued',
    });
  },

  log(bus, log) {
    bus.on('rate-limit-reached', ({ upstream, limit }) =>
      log.info({ upstream, limit }, 'rate limit reached'),
    );
    bus.on('rate-limit-waited', ({ exchange, upstream, waitedMs, end }) =>
      log.debug(
        { ...about(exchange), upstream, waitedMs: rounded(waitedMs), end },
        'waited for the rate limit',
      ),
    );
    bus.on('rate-limited', ({ exchange, upstream, limit, why }) =>
      log.debug({ ...about(exchange), upstream, limit, why }, 'refused by the rate limit'),
    );
  },

  journal(bus, note) {
    bus.on('rate-limit-reached', ({ upstream, limit }) => note('rate-limit-reached', upstream, { limit }));
  },
};
