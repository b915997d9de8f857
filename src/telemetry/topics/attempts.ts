/** What attempts brought. */
import type { Attempt } from '../../core/exchange.ts';
import { CounterFamily, HistogramFamily } from '../cells.ts';
import { aboutAttempt } from '../topic.ts';
import type { Topic } from '../topic.ts';
import { DURATION_BUCKETS } from './buckets.ts';

/** What only a human can put right; undefined when nothing is wrong with the credential. */
function troubleOf({ verdict }: Attempt): 'quota' | 'auth' | undefined {
  return verdict?.class === 'quota' || verdict?.class === 'auth' ? verdict.class : undefined;
}

export const attempts: Topic = {
  metrics(bus, registry) {
    const total = new CounterFamily(registry, {
      name: 'outrigger_attempts_total',
      help: 'Attempts, by what they brought.',
      labels: ['upstream', 'endpoint', 'class'],
    });
    const durations = new HistogramFamily(registry, {
      name: 'outrigger_attempt_duration_seconds',
      help: 'Time from the start of an attempt to its response head or failure.',
      labels: ['upstream', 'endpoint'],
      buckets: DURATION_BUCKETS,
    });
    bus.on('attempt-ended', ({ attempt, upstream }) => {
      const endpoint = attempt.endpoint.name;
      total.add([upstream, endpoint, attempt.verdict?.class ?? 'ok']);
      durations.observe([upstream, endpoint], (attempt.durationMs ?? 0) / 1_000);
    });
  },

  log(bus, log) {
    bus.on('attempt-ended', ({ attempt, upstream }) => {
      const trouble = troubleOf(attempt);
      if (!trouble) return;
      const { status, credential } = attempt;
      log.error(
        { ...aboutAttempt(attempt, upstream), status, class: trouble, credential },
        'credential needs attention',
      );
    });
  },

  journal(bus, note) {
    bus.on('attempt-ended', ({ upstream, attempt }) => {
      const trouble = troubleOf(attempt);
      if (!trouble) return;
      note('credential-refused', upstream, {
        class: trouble,
        status: attempt.status ?? 0,
        endpoint: attempt.endpoint.name,
        ...(attempt.credential !== undefined && { credential: attempt.credential }),
      });
    });
  },
};
