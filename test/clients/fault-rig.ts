/** One call of an SDK, through the sidecar, to a provider that fails: what its caller saw, the provider saw, and metrics say. */
import { afterAll } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { TestSidecar } from '../support/start-sidecar.ts';
import type { RequestStep } from '../support/upstream/step.ts';

export interface FaultyCall<T> {
  readonly dialect: 'anthropic' | 'gemini';
  /** The answers, in order; the last one again and again. */
  readonly steps: readonly RequestStep[];
  /** More policies, as YAML. */
  readonly policies?: string;
  readonly call: (base: string) => Promise<T>;
}

export interface FaultReport<T> {
  readonly value: T | undefined;
  readonly raised: Error | undefined;
  /** Requests that the provider saw. */
  readonly requests: number;
  /** Attempts by class, as the metric has them; those without any are left out. */
  readonly attempts: Readonly<Record<string, number>>;
  /** Why the exchange ended as it did; undefined: well. */
  readonly reason: string | undefined;
  /** Answers that broke off after they had begun. */
  readonly broken: number;
}

// Each call stands for itself: no breaker remembers the one before, no budget counts it.
const yamlOf = (dialect: string, origin: string, policies: string): string => `
upstreams:
  model:
    route: /model
    dialect: ${dialect}
    idempotent: compute
    endpoints: [{ url: "${origin}" }]
    policies:
      retry: { maxRetries: 1, budget: false, backoff: { initial: 1ms, max: 2ms } }
      circuitBreaker: false
      ${policies}
`;

const CLASSES = [
  'ok',
  'transient',
  'throttled',
  'overloaded',
  'permanent',
  'quota',
  'auth',
  'context_length',
];

interface Rig {
  readonly upstream: ScriptedUpstream;
  readonly proxy: TestSidecar;
}

/** One sidecar for all calls with the same policies: starting one takes longer than a call. */
const rigs = new Map<string, Promise<Rig>>();

afterAll(async () => {
  for (const rig of rigs.values()) {
    const { upstream, proxy } = await rig;
    await proxy[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  }
});

async function open(dialect: string, policies: string): Promise<Rig> {
  const upstream = await scriptedUpstream([]);
  return { upstream, proxy: await startSidecar(yamlOf(dialect, upstream.origin, policies)) };
}

export async function underFault<T>(faulty: FaultyCall<T>): Promise<FaultReport<T>> {
  const { dialect, steps, policies = '', call } = faulty;
  const key = `${dialect} ${policies}`;
  const opening = rigs.get(key) ?? open(dialect, policies);
  rigs.set(key, opening);
  const { upstream, proxy } = await opening;
  let requests = 0;
  upstream.play(() => steps[Math.min(++requests, steps.length) - 1]!);
  const before = await countsOf(proxy);
  const ended = proxy.eventsNamed('exchange-ended').length;
  const outcome = await settled(call(`http://127.0.0.1:${proxy.port}/model`));
  const endings = await proxy.waitForEvent('exchange-ended', ended + 1);
  const after = await countsOf(proxy);
  const risen = CLASSES.map((name): [string, number] => [name, after[name]! - before[name]!]);
  return {
    ...outcome,
    requests,
    attempts: Object.fromEntries(risen.filter(([, count]) => count > 0)),
    reason: endings.at(-1)?.reason,
    broken: after['broken']! - before['broken']!,
  };
}

async function countsOf(proxy: TestSidecar): Promise<Record<string, number>> {
  const counts: Record<string, number> = {
    broken: await proxy.metric('outrigger_broken_responses_total'),
  };
  for (const name of CLASSES) counts[name] = await proxy.metric('outrigger_attempts_total', { class: name });
  return counts;
}

async function settled<T>(work: Promise<T>): Promise<{ value: T | undefined; raised: Error | undefined }> {
  try {
    return { value: await work, raised: undefined };
  } catch (error) {
    return { value: undefined, raised: error as Error };
  }
}
