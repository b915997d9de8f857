/** Answers that were kept, and what was done with them. */
import { CounterFamily } from '../cells.ts';
import { about, policyGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const cache: Topic = {
  metrics(bus, registry) {
    const requests = new CounterFamily(registry, {
      name: 'outrigger_cache_requests_total',
      help: 'Requests by where the cache found their answers.',
      labels: ['upstream', 'result'],
    });
    const kept = new CounterFamily(registry, {
      name: 'outrigger_cache_stores_total',
      help: 'Answers that had to be fetched, by whether they were kept, or why not.',
      labels: ['upstream', 'result'],
    });
    const refreshes = new CounterFamily(registry, {
      name: 'outrigger_cache_refreshes_total',
      help: 'Copies that were renewed in the background, by what became of them.',
      labels: ['upstream', 'result'],
    });
    bus.on('cache-consulted', ({ upstream, result }) => requests.add([upstream, result]));
    bus.on('cache-kept', ({ upstream, result }) => kept.add([upstream, result]));
    bus.on('cache-refreshed', ({ upstream, result }) => refreshes.add([upstream, result]));
  },

  gauges(registry, states) {
    policyGauge(registry, states, {
      name: 'outrigger_cache_bytes',
      help: 'Memory that answers take in this process.',
      policy: 'cache',
      field: 'bytes',
    });
    policyGauge(registry, states, {
      name: 'outrigger_cache_entries',
      help: 'Answers that are kept in this process.',
      policy: 'cache',
      field: 'entries',
    });
  },

  log(bus, log) {
    bus.on('cache-refreshed', ({ exchange, upstream, result }) =>
      log.debug({ ...about(exchange), upstream, result }, 'cached answer renewed'),
    );
    bus.on('cache-purged', ({ upstream, entries }) => log.info({ upstream, entries }, 'cache purged'));
  },

  journal(bus, note) {
    bus.on('cache-purged', ({ upstream, entries }) =>
      note('cache-purged', upstream, entries === undefined ? {} : { entries }),
    );
  },
};
