/** The local agent: how it is, whether others find it, what was done to help it up. */
import { Gauge } from 'prom-client';
import { AGENT_STATUSES } from '../../core/agent.ts';
import { CounterFamily } from '../cells.ts';
import { rounded } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const agent: Topic = {
  metrics(bus, registry) {
    const checks = new CounterFamily(registry, {
      name: 'outrigger_agent_checks_total',
      help: 'Checks of the local agent, by what they found.',
      labels: ['result'],
    });
    bus.on('agent-checked', ({ result }) => checks.add([result]));
    const failures = new CounterFamily(registry, {
      name: 'outrigger_agent_registration_failures_total',
      help: 'Outages of the registry in which the local agent stands, and deregistrations that failed.',
      labels: ['step'],
    });
    bus.on('agent-registration-failed', ({ step }) => failures.add([step]));
    const recoveries = new CounterFamily(registry, {
      name: 'outrigger_agent_recoveries_total',
      help: 'Recovery actions that were due for the local agent, by how they ended.',
      labels: ['action', 'result'],
    });
    bus.on('agent-recovery', ({ action, result }) => recoveries.add([action, result]));
  },

  gauges(registry, states) {
    new Gauge({
      name: 'outrigger_agent_status',
      help: 'Status of the local agent: 1 for the one it has, 0 for the others.',
      labelNames: ['status'],
      registers: [registry],
      collect() {
        this.reset();
        const current = states.agent()?.status;
        if (current === undefined) return;
        for (const status of AGENT_STATUSES) this.set({ status }, status === current ? 1 : 0);
      },
    });
    new Gauge({
      name: 'outrigger_agent_registered',
      help: '1 while the local agent stands in its registry, as far as is known.',
      labelNames: ['service'],
      registers: [registry],
      collect() {
        this.reset();
        const { service = '', registration } = states.agent() ?? {};
        if (registration) this.set({ service }, registration.registered ? 1 : 0);
      },
    });
  },

  log(bus, log) {
    bus.on('agent-checked', ({ result, message, durationMs }) =>
      log.debug({ result, message, durationMs: rounded(durationMs) }, 'agent checked'),
    );
    bus.on('agent-changed', ({ service, id, from, to, message }) =>
      log[to === 'down' || to === 'degraded' ? 'warn' : 'info']({ service, id, from, to, message }, 'agent'),
    );
    bus.on('agent-registered', ({ service, id, registry, why }) =>
      log.info({ service, id, registry, why }, 'agent registered'),
    );
    bus.on('agent-registration-failed', ({ service, id, registry, step, message }) =>
      log.warn({ service, id, registry, step, message }, 'agent not registered'),
    );
    bus.on('agent-deregistered', ({ service, id, registry }) =>
      log.info({ service, id, registry }, 'agent deregistered'),
    );
    bus.on('agent-recovery', ({ service, id, action, attempt, failures, result, message }) =>
      log[result === 'succeeded' ? 'warn' : 'error'](
        { service, id, action, attempt, failures, result, message },
        'agent recovery',
      ),
    );
  },

  journal(bus, note) {
    bus.on('agent-changed', ({ id, from, to, message }) =>
      note('agent-changed', undefined, { id, from, to, message }),
    );
    bus.on('agent-registered', ({ id, registry, why }) =>
      note('agent-registered', undefined, { id, registry, why }),
    );
    bus.on('agent-registration-failed', ({ id, registry, step, message }) =>
      note('agent-registration-failed', undefined, { id, registry, step, message }),
    );
    bus.on('agent-deregistered', ({ id, registry }) =>
      note('agent-deregistered', undefined, { id, registry }),
    );
    bus.on('agent-recovery', ({ id, action, attempt, failures, result, message }) =>
      note('agent-recovery', undefined, { id, action, attempt, failures, result, message }),
    );
  },
};
