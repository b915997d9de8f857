/** What is, read at the moment of the scrape: gauges that nobody has to keep up to date cannot drift. */
import { Counter, Gauge, collectDefaultMetrics } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Bus } from '../bus.ts';
import { CounterFamily } from './cells.ts';

/** What the metrics ask of the rest of the process. */
export interface States {
  readonly version: string;
  wallTime(): Date;
  generation(): number;
  configHash(): string;
  tunnels(): number;
  replayBytes(): number;
  upstreams(): readonly UpstreamState[];
}

export interface UpstreamState {
  readonly name: string;
  /** Undefined when the upstream has no breaker. */
  readonly breaker: string | undefined;
  /** Undefined when the upstream has no retry budget. */
  readonly retryBudget: number | undefined;
  /** Empty when the upstream has none of its own. */
  readonly credentials: readonly { readonly name: string; readonly state: string }[];
  /** Undefined when the upstream's calls are not paced. */
  readonly pacing: PacingState | undefined;
  readonly endpoints: readonly {
    readonly name: string;
    readonly connected: number;
    readonly running: number;
  }[];
}

export interface PacingState {
  /** Calls that wait. */
  readonly queued: number;
  readonly limits: readonly {
    readonly dimension: string;
    readonly limit: number | undefined;
    readonly remaining: number;
  }[];
}

const BREAKER_STATES = ['closed', 'degraded', 'open', 'half-open', 'isolated'];
const CREDENTIAL_STATES = ['ready', 'cooling', 'out'];

export function stateMetrics(bus: Bus, registry: Registry, states: States): void {
  collectDefaultMetrics({ register: registry });
  upstreamGauges(registry, states);
  credentialGauge(registry, states);
  pacingGauges(registry, states);
  configuration(bus, registry, states);
  gauge(registry, 'outrigger_tunnels', 'Upgraded connections that are open.', () => states.tunnels());
  gauge(registry, 'outrigger_replay_bytes', 'Memory that kept request bodies take.', () =>
    states.replayBytes(),
  );
  new Counter({
    name: 'outrigger_telemetry_failures_total',
    help: 'Times that telemetry itself failed to hear an event.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(bus.failures);
    },
  });
  new Gauge({
    name: 'outrigger_build_info',
    help: 'Version of Outrigger and of Node.',
    labelNames: ['version', 'node'],
    registers: [registry],
  }).set({ version: states.version, node: process.versions.node }, 1);
}

function upstreamGauges(registry: Registry, states: States): void {
  new Gauge({
    name: 'outrigger_breaker_state',
    help: 'State of the circuit breaker: 1 for the state it is in, 0 for the others.',
    labelNames: ['upstream', 'state'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, breaker } of states.upstreams()) {
        if (breaker === undefined) continue;
        for (const state of BREAKER_STATES) this.set({ upstream: name, state }, state === breaker ? 1 : 0);
      }
    },
  });
  new Gauge({
    name: 'outrigger_retry_budget_remaining',
    help: 'Retries that could be made right now.',
    labelNames: ['upstream'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, retryBudget } of states.upstreams())
        if (retryBudget !== undefined) this.set({ upstream: name }, retryBudget);
    },
  });
  new Gauge({
    name: 'outrigger_upstream_connections',
    help: 'Connections to endpoints.',
    labelNames: ['upstream', 'endpoint', 'state'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, endpoints } of states.upstreams()) {
        for (const endpoint of endpoints) {
          this.set({ upstream: name, endpoint: endpoint.name, state: 'open' }, endpoint.connected);
          this.set({ upstream: name, endpoint: endpoint.name, state: 'busy' }, endpoint.running);
        }
      }
    },
  });
}

function credentialGauge(registry: Registry, states: States): void {
  new Gauge({
    name: 'outrigger_credential_state',
    help: 'State of each credential: 1 for the state it is in, 0 for the others.',
    labelNames: ['upstream', 'credential', 'state'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name: upstream, credentials } of states.upstreams())
        for (const { name: credential, state: current } of credentials)
          for (const state of CREDENTIAL_STATES)
            this.set({ upstream, credential, state }, state === current ? 1 : 0);
    },
  });
}

function pacingGauges(registry: Registry, states: States): void {
  const limitGauge = (name: string, help: string, part: 'limit' | 'remaining'): void => {
    new Gauge({
      name,
      help,
      labelNames: ['upstream', 'dimension'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { name: upstream, pacing } of states.upstreams())
          for (const { dimension, [part]: value } of pacing?.limits ?? [])
            if (value !== undefined) this.set({ upstream, dimension }, value);
      },
    });
  };
  limitGauge('outrigger_provider_limit', "The provider's own rate limit, as its headers say.", 'limit');
  limitGauge(
    'outrigger_provider_remaining',
    "What is left of the provider's rate limit, with what is under way taken off.",
    'remaining',
  );
  new Gauge({
    name: 'outrigger_pacing_queue_length',
    help: "Calls that wait for the provider's rate limit.",
    labelNames: ['upstream'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, pacing } of states.upstreams())
        if (pacing) this.set({ upstream: name }, pacing.queued);
    },
  });
}

function configuration(bus: Bus, registry: Registry, states: States): void {
  const reloads = new CounterFamily(registry, {
    name: 'outrigger_config_reloads_total',
    help: 'Configurations that were read, by what became of them.',
    labels: ['result'],
  });
  reloads.create(['applied']);
  reloads.create(['rejected']);
  let appliedAt = 0;
  bus.on('config-applied', () => {
    appliedAt = states.wallTime().getTime() / 1_000;
    reloads.add(['applied']);
  });
  bus.on('config-rejected', () => reloads.add(['rejected']));
  gauge(
    registry,
    'outrigger_config_generation',
    'Number of the configuration in force, counted from 1.',
    () => states.generation(),
  );
  gauge(
    registry,
    'outrigger_config_applied_timestamp_seconds',
    'When the configuration in force was applied.',
    () => appliedAt,
  );
  new Gauge({
    name: 'outrigger_config_info',
    help: 'Hash of the configuration in force.',
    labelNames: ['hash'],
    registers: [registry],
    collect() {
      this.reset();
      this.set({ hash: states.configHash() }, 1);
    },
  });
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}
