/** Endpoints: how they are, what they have to do, and answers that could not be rewritten on their way back from them. */
import { ENDPOINT_STATES } from '../../core/endpoint.ts';
import { CounterFamily } from '../cells.ts';
import { about, upstreamGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const endpoints: Topic = {
  metrics(bus, registry) {
    const transitions = new CounterFamily(registry, {
      name: 'outrigger_endpoint_transitions_total',
      help: 'Changes of endpoints, by the state they went to.',
      labels: ['upstream', 'endpoint', 'to'],
    });
    bus.on('endpoint-changed', ({ upstream, endpoint, to }) => transitions.add([upstream, endpoint, to]));
  },

  gauges(registry, states) {
    upstreamGauge(registry, states, {
      name: 'outrigger_endpoint_state',
      help: 'State of each endpoint: 1 for the state it is in, 0 for the others.',
      labels: ['endpoint', 'state'],
      read: (upstream, set) => {
        for (const { name: endpoint, state: current } of upstream.endpoints)
          for (const state of ENDPOINT_STATES) set({ endpoint, state }, state === current ? 1 : 0);
      },
    });
    upstreamGauge(registry, states, {
      name: 'outrigger_endpoint_active',
      help: 'Calls under way at each endpoint, bodies included.',
      labels: ['endpoint'],
      read: (upstream, set) => {
        for (const { name: endpoint, active } of upstream.endpoints) set({ endpoint }, active);
      },
    });
    upstreamGauge(registry, states, {
      name: 'outrigger_upstream_panic',
      help: '1 while so few endpoints are well that all of them are used.',
      labels: [],
      read: (upstream, set) => set({}, upstream.panicking ? 1 : 0),
    });
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
    bus.on('endpoint-changed', ({ upstream, endpoint, from, to }) =>
      log[to === 'unhealthy' || to === 'ejected' ? 'warn' : 'info'](
        { upstream, endpoint, from, to },
        'endpoint',
      ),
    );
    bus.on('panic-changed', ({ upstream, panicking, available, endpoints: all }) => {
      if (panicking) log.warn({ upstream, available, endpoints: all }, 'panic: too few endpoints are well');
      else log.info({ upstream, available, endpoints: all }, 'panic is over');
    });
    bus.on('answer-kept', ({ exchange, upstream, why }) =>
      log.warn({ ...about(exchange), upstream, why }, 'answer not rewritten'),
    );
  },

  journal(bus, note) {
    bus.on('endpoint-changed', ({ upstream, endpoint, from, to }) =>
      note('endpoint-changed', upstream, { endpoint, from, to }, to),
    );
    bus.on('panic-changed', ({ upstream, panicking, available, endpoints: all }) =>
      note('panic-changed', upstream, { panicking, available, endpoints: all }),
    );
  },
};
