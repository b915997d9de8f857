/** Calls that were kept from an overloaded upstream. */
import { CounterFamily } from '../cells.ts';
import { about, policyGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const adaptiveThrottling: Topic = {
  metrics(bus, registry) {
    const refused = new CounterFamily(registry, {
      name: 'outrigger_throttling_refused_total',
      help: 'Calls that were not sent because the upstream turns most of them away for overload.',
      labels: ['upstream'],
    });
    bus.on('throttling-refused', ({ upstream }) => refused.add([upstream]));
  },

  gauges(registry, states) {
    policyGauge(registry, states, {
      name: 'outrigger_throttling_probability',
      help: 'Share of the calls that is kept from an overloaded upstream, 0 to 1.',
      policy: 'adaptive-throttling',
      field: 'probability',
    });
  },

  log(bus, log) {
    bus.on('throttling-began', ({ upstream, requests, accepts }) =>
      log.warn({ upstream, requests, accepts }, 'overloaded upstream: some calls are not sent'),
    );
    bus.on('throttling-refused', ({ exchange, upstream, probability }) =>
      log.debug({ ...about(exchange), upstream, reason: 'load_shed', probability }, 'kept back'),
    );
  },

  journal(bus, note) {
    bus.on('throttling-began', ({ upstream, requests, accepts }) =>
      note('throttling-began', upstream, { requests, accepts }),
    );
  },
};
