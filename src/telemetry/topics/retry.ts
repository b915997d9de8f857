/** Retries that were made, and those that were not. */
import { CounterFamily } from '../cells.ts';
import { about, policyGauge, rounded } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const retry: Topic = {
  metrics(bus, registry) {
    const scheduled = new CounterFamily(registry, {
      name: 'outrigger_retries_total',
      help: 'Retries, by the class of the outcome that led to them.',
      labels: ['upstream', 'cause'],
    });
    const refused = new CounterFamily(registry, {
      name: 'outrigger_retries_refused_total',
      help: 'Failures that were not retried although their class allows it, by why not.',
      labels: ['upstream', 'why'],
    });
    bus.on('retry-scheduled', ({ upstream, cause }) => scheduled.add([upstream, cause]));
    bus.on('retry-refused', ({ upstream, why }) => refused.add([upstream, why]));
  },

  gauges(registry, states) {
    policyGauge(registry, states, {
      name: 'outrigger_retry_budget_remaining',
      help: 'Retries that could be made right now.',
      policy: 'retry',
      field: 'budgetRemaining',
    });
    policyGauge(registry, states, {
      name: 'outrigger_retry_health',
      help: 'How well the upstream does, 0 to 1, where retries follow it.',
      policy: 'retry',
      field: 'health',
    });
  },

  log(bus, log) {
    bus.on('retry-scheduled', ({ exchange, upstream, cause, delayMs }) =>
      log.debug(
        {
          ...about(exchange),
          upstream,
          attempt: exchange.attempts.length,
          cause,
          backoffMs: rounded(delayMs),
        },
        'retry',
      ),
    );
    bus.on('retry-refused', ({ exchange, upstream, why }) =>
      log.debug({ ...about(exchange), upstream, why }, 'no retry'),
    );
  },
};
