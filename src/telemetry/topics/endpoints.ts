/** Connections to endpoints, and answers that could not be rewritten on their way back from them. */
import { about, upstreamGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const endpoints: Topic = {
  gauges(registry, states) {
    upstreamGauge(registry, states, {
      name: 'outrigger_upstream_connections',
      help: 'Connections to endpoints.',
      labels: ['endpoint', 'state'],
      read: (upstream, set) => {
        for (const { name: endpoint, connected, running } of upstream.endpoints) {
          set({ endpoint, state: 'open' }, connected);
          set({ endpoint, state: 'busy' }, running);
        }
      },
    });
  },

  log(bus, log) {
    bus.on('answer-kept', ({ exchange, upstream, why }) =>
      log.warn({ ...about(exchange), upstream, why }, 'answer not rewritten'),
    );
  },
};
