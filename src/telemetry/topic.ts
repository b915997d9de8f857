/** What telemetry says about one thing, all of it in one file: metrics, log lines, journal entries. */
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Logger } from 'pino';
import type { Attempt, Exchange } from '../core/exchange.ts';
import type { Snapshot } from '../core/policy.ts';
import type { Bus } from './bus.ts';
import type { States, UpstreamState } from './states.ts';

/** What a journal's entry says besides its event. */
export type Detail = Readonly<Record<string, string | number | boolean>>;

/**
 * Enters one event.
 *
 * @param upstream undefined for what concerns the whole process
 * @param crowd a name for what may come in crowds, besides event and upstream: of many within seconds the first few are entries
 * of their own, and one entry for the rest tells of the last, of how many `times` it happened and `since` when. Default: each
 * is an entry of its own.
 */
export type Note = (event: string, upstream: string | undefined, detail: Detail, crowd?: string) => void;

/** One file in `topics/`; `topics/index.ts` lists them. */
export interface Topic {
  /** Counters and histograms, kept by listening to events. */
  metrics?(bus: Bus, registry: Registry): void;
  /** What is, read at the moment of the scrape: gauges that nobody has to keep up to date cannot drift. */
  gauges?(registry: Registry, states: States, bus: Bus): void;
  /** What needs a human is an error, what may need one soon a warning; what every exchange does is `debug`. */
  log?(bus: Bus, log: Logger): void;
  /** State changes and troubles, not traffic. */
  journal?(bus: Bus, note: Note): void;
}

type Labels<Name extends string> = Readonly<Record<Name, string>>;

interface UpstreamGaugeSpec<Name extends string> {
  readonly name: string;
  readonly help: string;
  /** Besides `upstream`. */
  readonly labels: readonly Name[];
  read(upstream: UpstreamState, set: (labels: Labels<Name>, value: number) => void): void;
}

/** A gauge with a series, or several, for each upstream. */
export function upstreamGauge<Name extends string = never>(
  registry: Registry,
  states: States,
  spec: UpstreamGaugeSpec<Name>,
): void {
  new Gauge({
    name: spec.name,
    help: spec.help,
    labelNames: ['upstream', ...spec.labels],
    registers: [registry],
    collect() {
      this.reset();
      for (const upstream of states.upstreams())
        spec.read(upstream, (labels, value) => this.set({ upstream: upstream.name, ...labels }, value));
    },
  });
}

interface NumberGaugeSpec {
  readonly name: string;
  readonly help: string;
  /** The policy that tells it. */
  readonly policy: string;
  /** Field of its snapshot; upstreams in which it is no number have no series. */
  readonly field: string;
}

/** A gauge that shows one number of a policy's snapshot. */
export function policyGauge(registry: Registry, states: States, spec: NumberGaugeSpec): void {
  upstreamGauge(registry, states, {
    name: spec.name,
    help: spec.help,
    labels: [],
    read: (upstream, set) => {
      const value = upstream.policy(spec.policy)?.[spec.field];
      if (typeof value === 'number') set({}, value);
    },
  });
}

interface StateGaugeSpec {
  readonly name: string;
  readonly help: string;
  readonly states: readonly string[];
  readonly policy: string;
}

/** One series per state: 1 for the one that the policy's snapshot names as `state`, 0 for the others. */
export function policyStateGauge(registry: Registry, states: States, spec: StateGaugeSpec): void {
  upstreamGauge(registry, states, {
    name: spec.name,
    help: spec.help,
    labels: ['state'],
    read: (upstream, set) => {
      const current = upstream.policy(spec.policy)?.['state'];
      if (current === undefined) return;
      for (const state of spec.states) set({ state }, state === current ? 1 : 0);
    },
  });
}

/** A gauge of the whole process. */
export function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

type Row = Readonly<Record<string, string | number | boolean | null>>;

/** The table that a snapshot holds under `field`; empty where it holds none. */
export function rowsIn(snapshot: Snapshot | undefined, field: string): readonly Row[] {
  const value = snapshot?.[field];
  return Array.isArray(value) ? value.filter((row): row is Row => typeof row === 'object') : [];
}

/** Fields by which a line about an exchange is found. */
export const about = (exchange: Exchange) => ({ requestId: exchange.id, traceId: exchange.traceId });

/** The same for one of its attempts. */
export const aboutAttempt = (attempt: Attempt, upstream: string) => ({
  ...about(attempt.exchange),
  upstream,
  endpoint: attempt.endpoint.name,
  attempt: attempt.number,
});

/** Milliseconds as they stand in logs. */
export const rounded = (ms: number): number => Math.round(ms * 10) / 10;
