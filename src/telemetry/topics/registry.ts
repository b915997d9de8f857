/** The embedded registry: who is there, who came, who went silent, and who follows. */
import { Gauge } from 'prom-client';
import { INSTANCE_STATUSES } from '../../core/registry.ts';
import { CounterFamily } from '../cells.ts';
import type { Topic } from '../topic.ts';

export const registry: Topic = {
  metrics(bus, metrics) {
    const heartbeats = new CounterFamily(metrics, {
      name: 'outrigger_registry_heartbeats_total',
      help: 'Heartbeats, by whether they came from a known instance.',
      labels: ['result'],
    });
    const changes = new CounterFamily(metrics, {
      name: 'outrigger_registry_changes_total',
      help: 'What happened to instances, counted by the registry that decided it.',
      labels: ['change'],
    });
    const refused = new CounterFamily(metrics, {
      name: 'outrigger_registry_full_total',
      help: 'Registrations for which there was no place, by the limit.',
      labels: ['limit'],
    });
    const slow = new CounterFamily(metrics, {
      name: 'outrigger_registry_slow_watchers_total',
      help: 'Clients that followed changes and were cut off because nothing got through to them.',
      labels: [],
    });
    bus.on('instance-heartbeat', ({ result }) => heartbeats.add([result]));
    bus.on('instance-registered', ({ here }) => here && changes.add(['registered']));
    bus.on('instance-changed', ({ here }) => here && changes.add(['changed']));
    bus.on('instance-expired', ({ here }) => here && changes.add(['expired']));
    bus.on('instance-left', ({ here }) => here && changes.add(['left']));
    bus.on('registry-full', ({ limit }) => refused.add([limit]));
    bus.on('registry-watcher', ({ change }) => change === 'slow' && slow.add([]));
  },

  gauges(metrics, states) {
    new Gauge({
      name: 'outrigger_registry_instances',
      help: 'Instances of each service, by status. At most registry.maxServices services.',
      labelNames: ['service', 'status'],
      registers: [metrics],
      collect() {
        this.reset();
        for (const { service, byStatus } of states.registry()?.services ?? [])
          for (const status of INSTANCE_STATUSES) this.set({ service, status }, byStatus[status]);
      },
    });
    new Gauge({
      name: 'outrigger_registry_watchers',
      help: 'Clients that follow changes.',
      registers: [metrics],
      collect() {
        this.reset();
        const view = states.registry();
        if (view) this.set(view.watchers);
        else this.remove();
      },
    });
  },

  log(bus, log) {
    bus.on('instance-registered', ({ service, instance, url, here }) =>
      log.info({ service, instance, url, here }, 'instance registered'),
    );
    bus.on('instance-changed', ({ service, instance, from, to, here }) =>
      log[from === to ? 'debug' : 'info']({ service, instance, from, to, here }, 'instance changed'),
    );
    bus.on('instance-expired', ({ service, instance, silentMs, here }) =>
      log.warn({ service, instance, silentMs, here }, 'instance went silent'),
    );
    bus.on('instance-left', ({ service, instance, reason, here }) =>
      log.info({ service, instance, reason, here }, 'instance left'),
    );
    bus.on('registry-full', ({ limit, service, refused }) => {
      if (refused === 1) log.warn({ limit, service }, 'registry is full');
    });
    bus.on('registry-not-full', ({ limit, refused, lastedMs }) =>
      log.warn({ limit, refused, lastedMs }, 'registry was full'),
    );
    bus.on('registry-watcher', ({ change, watchers }) =>
      log[change === 'slow' ? 'warn' : 'debug']({ change, watchers }, 'registry watcher'),
    );
  },

  // A whole fleet comes, or falls silent, within seconds.
  journal(bus, note) {
    bus.on('instance-registered', ({ service, instance, url, here }) =>
      note('instance-registered', undefined, { service, instance, url, here }, service),
    );
    bus.on('instance-changed', ({ service, instance, from, to, here }) => {
      if (from !== to)
        note('instance-changed', undefined, { service, instance, from, to, here }, `${service} ${to}`);
    });
    bus.on('instance-expired', ({ service, instance, silentMs, here }) =>
      note('instance-expired', undefined, { service, instance, silentMs, here }, service),
    );
    bus.on('instance-left', ({ service, instance, reason, here }) =>
      note('instance-left', undefined, { service, instance, reason, here }, `${service} ${reason}`),
    );
    bus.on('registry-full', ({ limit, service, refused }) => {
      if (refused === 1) note('registry-full', undefined, { limit, service });
    });
    bus.on('registry-not-full', (about) => note('registry-not-full', undefined, about));
  },
};
