/** What agents experience: requests, how long they took, how they ended. */
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Bus } from '../bus.ts';
import { CounterFamily, HistogramFamily } from '../cells.ts';
import type { Topic } from '../topic.ts';
import { DURATION_BUCKETS } from './buckets.ts';

const statusClass = (status: number): string => `${Math.floor(status / 100)}xx`;

export const exchanges: Topic = {
  metrics(bus, registry) {
    ended(bus, registry);
    inFlight(bus, registry);
    const refused = new CounterFamily(registry, {
      name: 'outrigger_requests_refused_total',
      help: 'Requests that never became an exchange, by reason.',
      labels: ['reason'],
    });
    bus.on('request-refused', ({ reason }) => refused.add([reason]));
  },

  log(bus, log) {
    bus.on('request-refused', ({ reason, detail, method, requestId }) =>
      log.warn({ requestId, method, reason, detail }, 'request refused'),
    );
  },
};

function ended(bus: Bus, registry: Registry): void {
  const requests = new CounterFamily(registry, {
    name: 'outrigger_requests_total',
    help: 'Exchanges that ended, by what the client got.',
    labels: ['upstream', 'outcome', 'code'],
  });
  const durations = new HistogramFamily(registry, {
    name: 'outrigger_request_duration_seconds',
    help: 'Time from the request head to the end of the answer.',
    labels: ['upstream', 'outcome'],
    buckets: DURATION_BUCKETS,
  });
  const broken = new CounterFamily(registry, {
    name: 'outrigger_broken_responses_total',
    help: 'Answers that broke off after they had begun, by reason.',
    labels: ['upstream', 'reason'],
  });
  const aborts = new CounterFamily(registry, {
    name: 'outrigger_client_aborts_total',
    help: 'Exchanges whose client left before the end.',
    labels: ['upstream'],
  });
  const skipped = new CounterFamily(registry, {
    name: 'outrigger_replay_skipped_total',
    help: 'Exchanges whose request body was too large to be kept, so that it could be sent only once.',
    labels: ['upstream'],
  });
  bus.on('exchange-ended', ({ exchange, outcome, status, reason, result, durationMs, replaySkipped }) => {
    const upstream = exchange.upstream.name;
    requests.add([upstream, result, statusClass(status)]);
    durations.observe([upstream, result], durationMs / 1_000);
    if (result === 'aborted') aborts.add([upstream]);
    else if (reason !== undefined && outcome.kind === 'response') broken.add([upstream, reason]);
    if (replaySkipped) skipped.add([upstream]);
  });
}

function inFlight(bus: Bus, registry: Registry): void {
  const active = new Map<string, number>();
  const change = (upstream: string, by: number): void =>
    void active.set(upstream, (active.get(upstream) ?? 0) + by);
  bus.on('exchange-started', ({ exchange }) => change(exchange.upstream.name, 1));
  bus.on('exchange-ended', ({ exchange }) => change(exchange.upstream.name, -1));
  new Gauge({
    name: 'outrigger_requests_in_flight',
    help: 'Exchanges under way.',
    labelNames: ['upstream'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [upstream, count] of active) this.set({ upstream }, count);
    },
  });
}
