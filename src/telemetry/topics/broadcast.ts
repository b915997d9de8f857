/** Requests that went to all endpoints. */
import { CounterFamily } from '../cells.ts';
import { about, rounded } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const broadcast: Topic = {
  metrics(bus, registry) {
    const broadcasts = new CounterFamily(registry, {
      name: 'outrigger_broadcasts_total',
      help: 'Requests that went to all endpoints, by how many of them answered well; also those that were refused.',
      labels: ['upstream', 'result'],
    });
    const calls = new CounterFamily(registry, {
      name: 'outrigger_broadcast_calls_total',
      help: 'Calls made for such requests, one for each endpoint, by whether it answered well.',
      labels: ['upstream', 'result'],
    });
    bus.on('broadcast-ended', ({ upstream, result, summary }) => {
      broadcasts.add([upstream, result]);
      if (summary.ok > 0) calls.add([upstream, 'ok'], summary.ok);
      if (summary.failed > 0) calls.add([upstream, 'failed'], summary.failed);
    });
    bus.on('broadcast-refused', ({ upstream }) => broadcasts.add([upstream, 'refused']));
  },

  log(bus, log) {
    bus.on('broadcast-ended', ({ exchange, upstream, result, summary }) =>
      log[result === 'failed' ? 'warn' : 'info'](
        { ...about(exchange), upstream, result, ...summary, durationMs: rounded(summary.durationMs) },
        'broadcast',
      ),
    );
    bus.on('broadcast-refused', ({ exchange, upstream }) =>
      log.warn({ ...about(exchange), upstream }, 'broadcast refused: too many are under way'),
    );
  },

  journal(bus, note) {
    bus.on('broadcast-ended', ({ exchange, upstream, result, summary }) => {
      if (result === 'ok') return;
      const { total, ok, failed, leftOut } = summary;
      note('broadcast-ended', upstream, { result, total, ok, failed, leftOut, requestId: exchange.id });
    });
  },
};
