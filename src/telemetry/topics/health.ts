/** Active health checks: how many there are, what they take, and what they make of endpoints. */
import { CounterFamily, HistogramFamily } from '../cells.ts';
import { rounded, upstreamGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';
import { DURATION_BUCKETS } from './buckets.ts';

export const health: Topic = {
  metrics(bus, registry) {
    const checks = new CounterFamily(registry, {
      name: 'outrigger_health_checks_total',
      help: 'Active checks of endpoints, by what they found.',
      labels: ['upstream', 'result'],
    });
    const durations = new HistogramFamily(registry, {
      name: 'outrigger_health_check_duration_seconds',
      help: 'Time that active checks took, timeouts included.',
      labels: ['upstream'],
      buckets: DURATION_BUCKETS,
    });
    bus.on('health-checked', ({ upstream, result, durationMs }) => {
      checks.add([upstream, result]);
      durations.observe([upstream], durationMs / 1_000);
    });
  },

  gauges(registry, states) {
    upstreamGauge(registry, states, {
      name: 'outrigger_health_check_passing',
      help: 'Whether the newest active check of an endpoint succeeded; no series where there was none.',
      labels: ['endpoint'],
      read: (upstream, set) => {
        for (const { name: endpoint, check } of upstream.endpoints)
          if (check !== undefined) set({ endpoint }, check.result === 'failed' ? 0 : 1);
      },
    });
  },

  log(bus, log) {
    bus.on('health-checked', ({ upstream, endpoint, result, durationMs, detail }) =>
      log.debug({ upstream, endpoint, result, durationMs: rounded(durationMs), detail }, 'health check'),
    );
    bus.on('health-check-failed', ({ upstream, endpoint, detail }) =>
      log.info({ upstream, endpoint, detail }, 'health check failed'),
    );
    bus.on('health-changed', ({ upstream, endpoint, from, to, detail }) =>
      log[to === 'unhealthy' ? 'warn' : 'info']({ upstream, endpoint, from, to, detail }, 'health'),
    );
  },

  journal(bus, note) {
    bus.on('health-changed', ({ upstream, endpoint, from, to, detail }) =>
      note('health-changed', upstream, { endpoint, from, to, detail }),
    );
  },
};
