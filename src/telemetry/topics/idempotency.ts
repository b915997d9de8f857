/** Requests with keys: what became of them, and what is kept of those that were run. */
import { CounterFamily } from '../cells.ts';
import { about, policyGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const idempotency: Topic = {
  metrics(bus, registry) {
    const requests = new CounterFamily(registry, {
      name: 'outrigger_idempotency_requests_total',
      help: 'Requests with an idempotency key, or without one that they should have, by what became of them.',
      labels: ['upstream', 'result'],
    });
    const runs = new CounterFamily(registry, {
      name: 'outrigger_idempotency_runs_total',
      help: 'Runs of requests with an idempotency key that are over, by what is kept of them.',
      labels: ['upstream', 'kept'],
    });
    bus.on('idempotency-decided', ({ upstream, result }) => requests.add([upstream, result]));
    bus.on('idempotency-ended', ({ upstream, end }) => runs.add([upstream, end]));
  },

  gauges(registry, states) {
    const gauges = {
      keys: ['outrigger_idempotency_keys', 'Idempotency keys that this process knows.'],
      bytes: ['outrigger_idempotency_bytes', 'Bytes of idempotency keys and of the answers kept for them.'],
      waiting: ['outrigger_idempotency_waiting', 'Duplicates that wait for an answer, or read one along.'],
      unattended: ['outrigger_idempotency_unattended', 'Runs that go on with nobody waiting for them.'],
      evictedKeys: [
        'outrigger_idempotency_evicted_keys',
        'Idempotency keys that were forgotten before their time.',
      ],
      droppedAnswers: [
        'outrigger_idempotency_dropped_answers',
        'Answers that made room for others; their keys stay known.',
      ],
    } as const;
    for (const [field, [name, help]] of Object.entries(gauges))
      policyGauge(registry, states, { name, help, policy: 'idempotency', field });
  },

  log(bus, log) {
    bus.on('idempotency-decided', ({ exchange, upstream, result }) => {
      log.debug({ ...about(exchange), upstream, result }, 'keyed request');
      if (result === 'run-alone')
        log.warn({ ...about(exchange), upstream }, 'keyed request run without asking other sidecars');
    });
    bus.on('idempotency-ended', ({ exchange, upstream, end }) => {
      if (end === 'unknown')
        log.warn({ ...about(exchange), upstream }, 'outcome of a keyed request is unknown');
    });
  },

  journal(bus, note) {
    bus.on('idempotency-ended', ({ exchange, upstream, end }) => {
      if (end === 'unknown') note('idempotency-unknown', upstream, { requestId: exchange.id });
    });
  },
};
