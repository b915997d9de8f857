/** How full upstreams are, and whether they should have more endpoints: what autoscalers go by. */
import { SCALING_ADVICE } from '../../core/scaling.ts';
import { CounterFamily } from '../cells.ts';
import { upstreamGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const scaling: Topic = {
  metrics(bus, registry) {
    const advised = new CounterFamily(registry, {
      name: 'outrigger_scaling_advised_total',
      help: 'Changes of the advice on scaling, by what it became.',
      labels: ['upstream', 'advice'],
    });
    bus.on('scaling-advised', ({ upstream, advice }) => advised.add([upstream, advice]));
  },

  gauges(registry, states) {
    upstreamGauge(registry, states, {
      name: 'outrigger_upstream_saturation_ratio',
      help: 'Calls under way by what there is room for; absent where that is not known.',
      labels: [],
      read: ({ saturation }, set) => {
        if (saturation !== null) set({}, saturation);
      },
    });
    upstreamGauge(registry, states, {
      name: 'outrigger_scaling_demand',
      help: 'Calls under way and waiting, on average over the window of the advice.',
      labels: [],
      read: (upstream, set) => upstream.scaling && set({}, upstream.scaling.demand),
    });
    upstreamGauge(registry, states, {
      name: 'outrigger_scaling_instances',
      help: 'Endpoints that the advice counts.',
      labels: [],
      read: (upstream, set) => upstream.scaling && set({}, upstream.scaling.instances),
    });
    upstreamGauge(registry, states, {
      name: 'outrigger_scaling_desired_instances',
      help: 'Endpoints that there should be.',
      labels: [],
      read: (upstream, set) => upstream.scaling && set({}, upstream.scaling.desiredInstances),
    });
    upstreamGauge(registry, states, {
      name: 'outrigger_scaling_advice',
      help: '1 for what is advised, 0 for the others.',
      labels: ['advice'],
      read: (upstream, set) => {
        if (!upstream.scaling) return;
        for (const advice of SCALING_ADVICE) set({ advice }, advice === upstream.scaling.advice ? 1 : 0);
      },
    });
  },

  log(bus, log) {
    bus.on('scaling-advised', (event) => log.info(event, 'scaling advised'));
  },

  journal(bus, note) {
    bus.on('scaling-advised', ({ upstream, ...detail }) => note('scaling-advised', upstream, detail));
  },
};
