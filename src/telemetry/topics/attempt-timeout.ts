/** Timers that fired: those of attempts, and in the same metric the deadline of exchanges. */
import type { Topic } from '../topic.ts';
import { CounterFamily } from '../cells.ts';
import { aboutAttempt, rounded } from '../topic.ts';

export const attemptTimeout: Topic = {
  metrics(bus, registry) {
    const timeouts = new CounterFamily(registry, {
      name: 'outrigger_timeouts_total',
      help: 'Timers that fired, by which one.',
      labels: ['upstream', 'timer'],
    });
    bus.on('attempt-timed-out', ({ upstream, reason }) => timeouts.add([upstream, reason]));
    bus.on('deadline-exceeded', ({ upstream }) => timeouts.add([upstream, 'deadline']));
  },

  log(bus, log) {
    bus.on('attempt-timed-out', ({ attempt, upstream, reason, afterMs }) =>
      log.warn(
        { ...aboutAttempt(attempt, upstream), reason, afterMs: rounded(afterMs) },
        'attempt timed out',
      ),
    );
  },

  journal(bus, note) {
    bus.on('attempt-timed-out', ({ upstream, attempt, reason }) =>
      note('attempt-timed-out', upstream, {
        endpoint: attempt.endpoint.name,
        reason,
        requestId: attempt.exchange.id,
      }),
    );
  },
};
