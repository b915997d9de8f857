/** Spare attempts: those that ran, who won, and why there was none. */
import { CounterFamily } from '../cells.ts';
import { about, aboutAttempt, policyGauge, rounded, upstreamGauge } from '../topic.ts';
import type { Topic } from '../topic.ts';

export const hedge: Topic = {
  metrics(bus, registry) {
    const fired = new CounterFamily(registry, {
      name: 'outrigger_hedges_total',
      help: 'Spare attempts that were begun beside a slow one.',
      labels: ['upstream'],
    });
    const won = new CounterFamily(registry, {
      name: 'outrigger_hedges_won_total',
      help: 'Races of attempts that one of them won, by whether it was the first or a spare.',
      labels: ['upstream', 'by'],
    });
    const refused = new CounterFamily(registry, {
      name: 'outrigger_hedges_refused_total',
      help: 'Attempts that were slow and got no spare, by why not.',
      labels: ['upstream', 'why'],
    });
    bus.on('hedge-fired', ({ upstream }) => fired.add([upstream]));
    bus.on('hedge-won', ({ upstream, by }) => won.add([upstream, by]));
    bus.on('hedge-refused', ({ upstream, why }) => refused.add([upstream, why]));
  },

  gauges(registry, states) {
    upstreamGauge(registry, states, {
      name: 'outrigger_hedge_delay_seconds',
      help: 'Time after which an attempt is slow; no series while it is not known.',
      labels: [],
      read: (upstream, set) => {
        const delayMs = upstream.policy('hedge')?.['delayMs'];
        if (typeof delayMs === 'number') set({}, delayMs / 1_000);
      },
    });
    policyGauge(registry, states, {
      name: 'outrigger_hedge_budget_remaining',
      help: 'Spare attempts that could be made right now.',
      policy: 'hedge',
      field: 'budgetRemaining',
    });
  },

  log(bus, log) {
    bus.on('hedge-fired', ({ attempt, upstream, afterMs }) =>
      log.debug({ ...aboutAttempt(attempt, upstream), afterMs: rounded(afterMs) }, 'spare attempt'),
    );
    bus.on('hedge-won', ({ attempt, upstream, by }) =>
      log.debug({ ...aboutAttempt(attempt, upstream), by }, 'race won'),
    );
    bus.on('hedge-refused', ({ exchange, upstream, why }) =>
      log.debug({ ...about(exchange), upstream, why }, 'no spare attempt'),
    );
  },
};
