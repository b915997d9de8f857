/** How circuits opened and closed, and whom they refused. */
import { CounterFamily } from '../cells.ts';
import { policyStateGauge, rounded } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const circuitBreaker: Topic = {
  metrics(bus, registry) {
    const transitions = new CounterFamily(registry, {
      name: 'outrigger_breaker_transitions_total',
      help: 'Changes of the circuit breaker, by the state it went to.',
      labels: ['upstream', 'to'],
    });
    const refused = new CounterFamily(registry, {
      name: 'outrigger_breaker_refused_total',
      help: 'Calls that an open circuit breaker refused.',
      labels: ['upstream'],
    });
    const heeded = new CounterFamily(registry, {
      name: 'outrigger_breaker_hints_total',
      help: 'Times that the circuit breaker opened because another sidecar said so.',
      labels: ['upstream'],
    });
    bus.on('breaker-changed', ({ upstream, to, cause }) => {
      transitions.add([upstream, to]);
      if (cause === 'hint') heeded.add([upstream]);
    });
    bus.on('breaker-refused', ({ upstream }) => refused.add([upstream]));
  },

  gauges(registry, states) {
    policyStateGauge(registry, states, {
      name: 'outrigger_breaker_state',
      help: 'State of the circuit breaker: 1 for the state it is in, 0 for the others.',
      states: ['closed', 'degraded', 'open', 'half-open', 'isolated'],
      policy: 'circuit-breaker',
    });
  },

  log(bus, log) {
    bus.on('breaker-changed', ({ upstream, from, to, openForMs, cause }) => {
      const level = to === 'open' || to === 'isolated' ? 'warn' : 'info';
      log[level](
        { upstream, from, to, cause, ...(openForMs > 0 && { openForMs: rounded(openForMs) }) },
        'circuit breaker',
      );
    });
  },

  journal(bus, note) {
    bus.on('breaker-changed', ({ upstream, from, to, cause }) =>
      note('breaker-changed', upstream, { from, to, cause }),
    );
  },
};
