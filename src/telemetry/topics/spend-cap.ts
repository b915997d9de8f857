/** Further tries that would have cost too much. */
import { CounterFamily } from '../cells.ts';
import { about } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const spendCap: Topic = {
  metrics(bus, registry) {
    const refused = new CounterFamily(registry, {
      name: 'outrigger_spend_refused_total',
      help: 'Exchanges in which a further try was refused because it would have cost too much, by who wanted it.',
      labels: ['upstream', 'by'],
    });
    bus.on('spend-refused', ({ upstream, by }) => refused.add([upstream, by]));
  },

  log(bus, log) {
    bus.on('spend-refused', ({ exchange, upstream, by }) =>
      log.info({ ...about(exchange), upstream, by }, 'spend cap reached'),
    );
  },
};
