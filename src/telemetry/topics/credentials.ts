/** Credentials that cool down, run out and come back. */
import { CounterFamily } from '../cells.ts';
import { rounded, rowsIn, upstreamGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

const STATES = ['ready', 'cooling', 'out'];

export const credentials: Topic = {
  metrics(bus, registry) {
    const transitions = new CounterFamily(registry, {
      name: 'outrigger_credential_transitions_total',
      help: 'Changes of credentials, by the state they went to.',
      labels: ['upstream', 'credential', 'to'],
    });
    const missing = new CounterFamily(registry, {
      name: 'outrigger_credential_missing_total',
      help: 'Calls that were refused because no credential could be used.',
      labels: ['upstream', 'reason'],
    });
    const heeded = new CounterFamily(registry, {
      name: 'outrigger_credential_hints_total',
      help: 'Times that a credential cooled down because another sidecar said so.',
      labels: ['upstream', 'credential'],
    });
    bus.on('credential-cooling', ({ upstream, credential, hinted }) => {
      transitions.add([upstream, credential, 'cooling']);
      if (hinted) heeded.add([upstream, credential]);
    });
    bus.on('credential-out', ({ upstream, credential }) => transitions.add([upstream, credential, 'out']));
    bus.on('credential-back', ({ upstream, credential }) => transitions.add([upstream, credential, 'ready']));
    bus.on('credential-missing', ({ upstream, reason }) => missing.add([upstream, reason]));
  },

  gauges(registry, states) {
    upstreamGauge(registry, states, {
      name: 'outrigger_credential_state',
      help: 'State of each credential: 1 for the state it is in, 0 for the others.',
      labels: ['credential', 'state'],
      read: (upstream, set) => {
        for (const { name, state: current } of rowsIn(upstream.policy('credentials'), 'keys'))
          for (const state of STATES) set({ credential: String(name), state }, state === current ? 1 : 0);
      },
    });
  },

  log(bus, log) {
    bus.on('credential-cooling', ({ upstream, credential, forMs, hinted }) =>
      log.warn({ upstream, credential, forMs: rounded(forMs), hinted }, 'credential cools down'),
    );
    bus.on('credential-out', ({ upstream, credential, cause, forMs }) =>
      log.warn(
        { upstream, credential, cause, forMs: Number.isFinite(forMs) ? rounded(forMs) : null },
        'credential is out',
      ),
    );
    bus.on('credential-back', ({ upstream, credential, after }) =>
      log.info({ upstream, credential, after }, 'credential is back'),
    );
  },

  journal(bus, note) {
    bus.on('credential-cooling', ({ upstream, credential, forMs, hinted }) =>
      note('credential-cooling', upstream, { credential, forMs: Math.round(forMs), hinted }),
    );
    bus.on('credential-out', ({ upstream, credential, cause, forMs }) =>
      note('credential-out', upstream, {
        credential,
        cause,
        // Without it: until somebody does something.
        ...(Number.isFinite(forMs) && { forMs: Math.round(forMs) }),
      }),
    );
    bus.on('credential-back', ({ upstream, credential, after }) =>
      note('credential-back', upstream, { credential, after }),
    );
  },
};
