/** Streams that broke off, and what became of them. */
import { CounterFamily } from '../cells.ts';
import { aboutAttempt } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const resume: Topic = {
  metrics(bus, registry) {
    const resumptions = new CounterFamily(registry, {
      name: 'outrigger_stream_resumptions_total',
      help: 'Streams that broke off and could be continued, or could not.',
      labels: ['upstream', 'result'],
    });
    bus.on('stream-resumed', ({ upstream, result }) => resumptions.add([upstream, result]));
  },

  log(bus, log) {
    bus.on('stream-resumed', ({ attempt, upstream, result, tries }) =>
      log[result === 'resumed' ? 'info' : 'warn'](
        { ...aboutAttempt(attempt, upstream), result, tries },
        'stream resumed',
      ),
    );
  },

  journal(bus, note) {
    bus.on('stream-resumed', ({ attempt, upstream, result, tries }) =>
      note('stream-resumed', upstream, { result, tries, requestId: attempt.exchange.id }),
    );
  },
};
