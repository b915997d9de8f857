/**
 * A provider loses three quarters of its workers for some minutes, and gets them back. Nothing else is wrong: what makes
 * the difference is what its clients do. Agents bring calls at a steady rate, whatever happens to those before.
 */
import type { Exchange } from '../../../src/core/exchange.ts';
import { seededRandom } from '../../../src/core/random.ts';
import { PipelineRig } from '../../../test/composition/pipeline-rig.ts';
import type { Policies } from '../../../test/composition/pipeline-rig.ts';
import { finish } from '../../../test/support/policy-kit.ts';
import { Ledger } from './ledger.ts';
import { WorkerProvider } from './worker-provider.ts';

const MINUTE = 60_000;

export const BROWN_OUT = {
  callsPerSecond: 4,
  agents: 20,
  workers: 16,
  workersLeft: 4,
  meanWorkMs: 2_000,
  spread: 0.5,
  beginsMs: 2 * MINUTE,
  endsMs: 7 * MINUTE,
  lastsMs: 15 * MINUTE,
} as const;

export const PHASES = {
  before: [0, BROWN_OUT.beginsMs],
  'brown-out': [BROWN_OUT.beginsMs, BROWN_OUT.endsMs],
  after: [BROWN_OUT.endsMs, BROWN_OUT.lastsMs],
} as const;

type Phase = keyof typeof PHASES;

const PATIENCE: Policies = { deadline: { after: '30s' }, attemptTimeout: { firstByte: '10s' } };
const BUDGETED: Policies = { ...PATIENCE, retry: { maxRetries: 4 } };

/** What is compared, by name. Breakers are off: this is about load. */
export const CONTESTANTS: Readonly<Record<string, Policies>> = {
  'naive retries': {
    ...PATIENCE,
    retry: { maxRetries: 4, budget: false, backoff: { initial: '100ms', kind: 'constant', jitter: 'none' } },
  },
  'retries with a budget': BUDGETED,
  'budget, fixed limit of 32': { ...BUDGETED, bulkhead: { maxConcurrent: 32 } },
  'budget, fixed limit of 16': { ...BUDGETED, bulkhead: { maxConcurrent: 16 } },
  'budget, adaptive limit (aimd)': {
    ...BUDGETED,
    bulkhead: { maxConcurrent: 64, adaptive: { algorithm: 'aimd', initial: 16, latencyThreshold: '5s' } },
  },
  'budget, adaptive limit (gradient)': {
    ...BUDGETED,
    bulkhead: { maxConcurrent: 64, adaptive: { initial: 16 } },
  },
};

type Event = 'arrived' | 'answered' | 'attempted';

export interface BrownOutRun {
  readonly ledger: Ledger<Event>;
  /** Share of the provider's work that nobody waited for, in the brown-out and after. */
  readonly wastedRatio: number;
}

/** Answers that the provider could give in a phase to so many calls, if it never worked for nobody. */
function ideal(phase: Phase, calls: number): number {
  const { workers, workersLeft, meanWorkMs } = BROWN_OUT;
  const [fromMs, toMs] = PHASES[phase];
  const capacity = ((phase === 'brown-out' ? workersLeft : workers) * (toMs - fromMs)) / meanWorkMs;
  return Math.min(calls, capacity);
}

/** Answers by those that were possible. */
export function goodput({ ledger }: BrownOutRun, phase: Phase): number {
  const [fromMs, toMs] = PHASES[phase];
  return ledger.total('answered', fromMs, toMs) / ideal(phase, ledger.total('arrived', fromMs, toMs));
}

export function attemptsPerCall({ ledger }: BrownOutRun, phase: Phase): number {
  const [fromMs, toMs] = PHASES[phase];
  return ledger.total('attempted', fromMs, toMs) / ledger.total('arrived', fromMs, toMs);
}

export const SLICE_MS = 30_000;

/** The same seed, the same run. */
export async function playBrownOut(policies: Policies, seed = 11): Promise<BrownOutRun> {
  const { lastsMs, beginsMs, endsMs, workers, workersLeft, callsPerSecond, agents } = BROWN_OUT;
  const rig = new PipelineRig();
  const { clock } = rig;
  const provider = new WorkerProvider(clock, { ...BROWN_OUT, seed: seed + 1 });
  const main = rig.upstream('main', policies, (attempt, cancellation) => {
    ledger.note('attempted', clock.now());
    return typeof provider.step === 'function' ? provider.step(attempt, cancellation) : provider.step;
  });
  const beganAt = clock.now();
  const ledger = new Ledger<Event>(SLICE_MS, beganAt);
  const random = seededRandom(seed);

  async function call(exchange: Exchange): Promise<void> {
    ledger.note('arrived', clock.now());
    const outcome = await main.send(exchange, exchange.cancellation);
    finish(outcome);
    if (outcome.verdict.class === 'ok') ledger.note('answered', clock.now());
  }

  function arrive(): void {
    if (clock.now() - beganAt >= lastsMs) return;
    const agentId = `agent-${Math.floor(random.next() * agents)}`;
    void call(rig.prepare({ agentId }).exchange);
    clock.setTimer((-Math.log(1 - random.next()) * 1_000) / callsPerSecond, arrive);
  }

  let before = { worked: 0, wasted: 0 };
  clock.setTimer(beginsMs, () => {
    provider.workers = workersLeft;
    before = { worked: provider.worked, wasted: provider.wasted };
  });
  clock.setTimer(endsMs, () => (provider.workers = workers));
  arrive();
  await clock.advance(lastsMs);
  const wastedRatio = (provider.wasted - before.wasted) / (provider.worked - before.worked);
  // What is under way comes to its end.
  await clock.advance(5 * MINUTE);
  if (clock.pendingTimers > 0 && provider.isIdle) throw new Error('a policy has left a timer behind');
  return { ledger, wastedRatio };
}
