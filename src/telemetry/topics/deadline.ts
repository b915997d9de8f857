/** Exchanges whose time was up. They count as one of the timers: see attempt-timeout.ts. */
import { about, rounded } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const deadline: Topic = {
  log(bus, log) {
    bus.on('deadline-exceeded', ({ exchange, upstream, afterMs }) =>
      log.warn(
        { ...about(exchange), upstream, reason: 'deadline_exceeded', afterMs: rounded(afterMs) },
        'deadline exceeded',
      ),
    );
  },

  journal(bus, note) {
    bus.on('deadline-exceeded', ({ upstream, exchange }) =>
      note('deadline-exceeded', upstream, { requestId: exchange.id }),
    );
  },
};
