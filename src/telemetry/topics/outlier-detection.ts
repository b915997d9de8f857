/** Which endpoints were taken out for their failures, and which came back. */
import { CounterFamily } from '../cells.ts';
import { policyGauge, rounded } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const outlierDetection: Topic = {
  metrics(bus, registry) {
    const ejections = new CounterFamily(registry, {
      name: 'outrigger_outlier_ejections_total',
      help: 'Times that an endpoint was ejected, by what it was ejected for.',
      labels: ['upstream', 'endpoint', 'reason'],
    });
    const returns = new CounterFamily(registry, {
      name: 'outrigger_outlier_returns_total',
      help: 'Times that an ejected endpoint came back, by what showed that it is well.',
      labels: ['upstream', 'endpoint', 'by'],
    });
    const withheld = new CounterFamily(registry, {
      name: 'outrigger_outlier_withheld_total',
      help: 'Times that an endpoint would have been ejected, by why it was not.',
      labels: ['upstream', 'endpoint', 'why'],
    });
    bus.on('endpoint-ejected', ({ upstream, endpoint, reason }) =>
      ejections.add([upstream, endpoint, reason]),
    );
    bus.on('endpoint-returned', ({ upstream, endpoint, by }) => returns.add([upstream, endpoint, by]));
    bus.on('ejection-withheld', ({ upstream, endpoint, why }) => withheld.add([upstream, endpoint, why]));
  },

  gauges(registry, states) {
    policyGauge(registry, states, {
      name: 'outrigger_outlier_ejected',
      help: 'Endpoints that are ejected now.',
      policy: 'outlier-detection',
      field: 'ejected',
    });
  },

  log(bus, log) {
    bus.on('endpoint-ejected', ({ upstream, endpoint, reason, count, forMs }) =>
      log.warn({ upstream, endpoint, reason, count, forMs: rounded(forMs) }, 'endpoint ejected'),
    );
    bus.on('endpoint-returned', ({ upstream, endpoint, by, count }) =>
      log.info({ upstream, endpoint, by, count }, 'endpoint returned'),
    );
    bus.on('ejection-withheld', ({ upstream, endpoint, reason, why }) =>
      log.warn({ upstream, endpoint, reason, why }, 'endpoint fails, but stays'),
    );
  },

  journal(bus, note) {
    bus.on('endpoint-ejected', ({ upstream, endpoint, reason, count, forMs }) =>
      note('endpoint-ejected', upstream, { endpoint, reason, count, forMs: rounded(forMs) }),
    );
    bus.on('endpoint-returned', ({ upstream, endpoint, by }) =>
      note('endpoint-returned', upstream, { endpoint, by }),
    );
    bus.on('ejection-withheld', ({ upstream, endpoint, reason, why }) =>
      note('ejection-withheld', upstream, { endpoint, reason, why }),
    );
  },
};
