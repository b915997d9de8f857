/** Discovery: lists of endpoints that change, and the places that they come from. */
import { CounterFamily } from '../cells.ts';
import { upstreamGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const discovery: Topic = {
  metrics(bus, registry) {
    const changes = new CounterFamily(registry, {
      name: 'outrigger_discovery_changes_total',
      help: 'Changes of lists of endpoints.',
      labels: ['upstream'],
    });
    const failures = new CounterFamily(registry, {
      name: 'outrigger_discovery_outages_total',
      help: 'Outages of places that endpoints are found at.',
      labels: ['upstream'],
    });
    bus.on('discovery-changed', ({ upstream }) => changes.add([upstream]));
    bus.on('discovery-failed', ({ upstream }) => failures.add([upstream]));
  },

  gauges(registry, states) {
    upstreamGauge(registry, states, {
      name: 'outrigger_discovery_endpoints',
      help: 'Endpoints that were found.',
      labels: [],
      read: ({ discovery: status }, set) => status && set({}, status.endpoints),
    });
    upstreamGauge(registry, states, {
      name: 'outrigger_discovery_up',
      help: '1 while the place that the endpoints are found at is of use, 0 while the last good list is used.',
      labels: [],
      read: ({ discovery: status }, set) => status && set({}, status.failure === undefined ? 1 : 0),
    });
  },

  log(bus, log) {
    bus.on('discovery-changed', (event) => log.info(event, 'endpoints found'));
    bus.on('discovery-failed', ({ upstream, kind, message }) =>
      log.warn({ upstream, kind, error: message }, 'discovery fails; the last good list stays'),
    );
    bus.on('discovery-entries-refused', (event) =>
      log.warn(event, 'entries that are no endpoints are left out'),
    );
    bus.on('discovery-recovered', (event) => log.info(event, 'discovery works again'));
  },

  journal(bus, note) {
    bus.on('discovery-changed', ({ upstream, added, removed, endpoints }) =>
      note(
        'discovery-changed',
        upstream,
        { added: added.join(' '), removed: removed.join(' '), endpoints },
        '',
      ),
    );
    bus.on('discovery-failed', ({ upstream, ...rest }) => note('discovery-failed', upstream, rest));
    bus.on('discovery-entries-refused', ({ upstream, kind, entries, count }) =>
      note('discovery-entries-refused', upstream, { kind, entries: entries.join(' | '), count }),
    );
    bus.on('discovery-recovered', ({ upstream, ...rest }) => note('discovery-recovered', upstream, rest));
  },
};
