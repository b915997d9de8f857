/** Steps of ladders that were taken. */
import { CounterFamily } from '../cells.ts';
import { about } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const fallback: Topic = {
  metrics(bus, registry) {
    const taken = new CounterFamily(registry, {
      name: 'outrigger_fallbacks_total',
      help: 'Steps of fallback ladders that were taken, by what led there and whether they answered.',
      labels: ['upstream', 'step', 'trigger', 'answered'],
    });
    bus.on('fallback-taken', ({ upstream, step, trigger, answered }) =>
      taken.add([upstream, step, trigger, String(answered)]),
    );
  },

  log(bus, log) {
    bus.on('fallback-taken', ({ exchange, upstream, step, trigger, answered }) =>
      log.info({ ...about(exchange), upstream, step, trigger, answered }, 'fallback'),
    );
  },

  journal(bus, note) {
    bus.on('fallback-taken', ({ upstream, exchange, step, trigger, answered }) =>
      note('fallback-taken', upstream, { step, trigger, answered, requestId: exchange.id }),
    );
  },
};
