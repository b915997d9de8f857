/** What the policies did: attempts, retries, timeouts, refusals, fallbacks. */
import type { Registry } from 'prom-client';
import type { Bus } from '../bus.ts';
import { CounterFamily, HistogramFamily } from './cells.ts';
import { DURATION_BUCKETS } from './exchanges.ts';

export function resilienceMetrics(bus: Bus, registry: Registry): void {
  attempts(bus, registry);
  retries(bus, registry);
  breakers(bus, registry);
  credentials(bus, registry);
  pacing(bus, registry);
  const timeouts = new CounterFamily(registry, {
    name: 'outrigger_timeouts_total',
    help: 'Timers that fired, by which one.',
    labels: ['upstream', 'timer'],
  });
  bus.on('attempt-timed-out', ({ upstream, reason }) => timeouts.add([upstream, reason]));
  bus.on('deadline-exceeded', ({ upstream }) => timeouts.add([upstream, 'deadline']));
  const resumptions = new CounterFamily(registry, {
    name: 'outrigger_stream_resumptions_total',
    help: 'Streams that broke off and could be continued, or could not.',
    labels: ['upstream', 'result'],
  });
  bus.on('stream-resumed', ({ upstream, result }) => resumptions.add([upstream, result]));
  const fallbacks = new CounterFamily(registry, {
    name: 'outrigger_fallbacks_total',
    help: 'Steps of fallback ladders that were taken, by what led there and whether they answered.',
    labels: ['upstream', 'step', 'trigger', 'answered'],
  });
  bus.on('fallback-taken', ({ upstream, step, trigger, answered }) =>
    fallbacks.add([upstream, step, trigger, String(answered)]),
  );
  const spend = new CounterFamily(registry, {
    name: 'outrigger_spend_refused_total',
    help: 'Exchanges in which a further try was refused because it would have cost too much, by who wanted it.',
    labels: ['upstream', 'by'],
  });
  bus.on('spend-refused', ({ upstream, by }) => spend.add([upstream, by]));
}

function attempts(bus: Bus, registry: Registry): void {
  const total = new CounterFamily(registry, {
    name: 'outrigger_attempts_total',
    help: 'Attempts, by what they brought.',
    labels: ['upstream', 'endpoint', 'class'],
  });
  const durations = new HistogramFamily(registry, {
    name: 'outrigger_attempt_duration_seconds',
    help: 'Time from the start of an attempt to its response head or failure.',
    labels: ['upstream', 'endpoint'],
    buckets: DURATION_BUCKETS,
  });
  bus.on('attempt-ended', ({ attempt, upstream }) => {
    const endpoint = attempt.endpoint.name;
    total.add([upstream, endpoint, attempt.verdict?.class ?? 'ok']);
    durations.observe([upstream, endpoint], (attempt.durationMs ?? 0) / 1_000);
  });
}

function retries(bus: Bus, registry: Registry): void {
  const scheduled = new CounterFamily(registry, {
    name: 'outrigger_retries_total',
    help: 'Retries, by the class of the outcome that led to them.',
    labels: ['upstream', 'cause'],
  });
  const refused = new CounterFamily(registry, {
    name: 'outrigger_retries_refused_total',
    help: 'Failures that were not retried although their class allows it, by why not.',
    labels: ['upstream', 'why'],
  });
  bus.on('retry-scheduled', ({ upstream, cause }) => scheduled.add([upstream, cause]));
  bus.on('retry-refused', ({ upstream, why }) => refused.add([upstream, why]));
}

function breakers(bus: Bus, registry: Registry): void {
  const transitions = new CounterFamily(registry, {
    name: 'outrigger_breaker_transitions_total',
    help: 'Changes of the circuit breaker, by the state it went to.',
    labels: ['upstream', 'to'],
  });
  const refused = new CounterFamily(registry, {
    name: 'outrigger_breaker_refused_total',
    help: 'Calls that an open circuit breaker refused.',
    labels: ['upstream'],
  });
  bus.on('breaker-changed', ({ upstream, to }) => transitions.add([upstream, to]));
  bus.on('breaker-refused', ({ upstream }) => refused.add([upstream]));
}

function credentials(bus: Bus, registry: Registry): void {
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
  bus.on('credential-cooling', ({ upstream, credential }) =>
    transitions.add([upstream, credential, 'cooling']),
  );
  bus.on('credential-out', ({ upstream, credential }) => transitions.add([upstream, credential, 'out']));
  bus.on('credential-back', ({ upstream, credential }) => transitions.add([upstream, credential, 'ready']));
  bus.on('credential-missing', ({ upstream, reason }) => missing.add([upstream, reason]));
}

function pacing(bus: Bus, registry: Registry): void {
  const waits = new HistogramFamily(registry, {
    name: 'outrigger_pacing_wait_seconds',
    help: "Time that calls waited for the provider's rate limit, by how the wait ended.",
    labels: ['upstream', 'end'],
    buckets: DURATION_BUCKETS,
  });
  const refused = new CounterFamily(registry, {
    name: 'outrigger_pacing_refused_total',
    help: "Calls that were refused because the provider's rate limit leaves no room, by why they did not wait.",
    labels: ['upstream', 'why'],
  });
  bus.on('pacing-waited', ({ upstream, waitedMs, end }) => waits.observe([upstream, end], waitedMs / 1_000));
  bus.on('pacing-refused', ({ upstream, why }) => refused.add([upstream, why]));
}
