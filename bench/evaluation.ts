/** From samples to figures per peer, ratios to the pass-through, and verdicts on the targets. */
import { countFailures, type Failures } from './load/jobs.ts';
import type { PeerName, ScenarioName } from './options.ts';
import { basePeer } from './peers/catalogue.ts';
import type { TurnSample, ScenarioResult } from './rounds.ts';
import { pairedRatio, summarise, type TurnValue, type Summary } from './statistics.ts';

export interface PeerFigures {
  readonly peer: PeerName;
  /** Summary per figure, over the valid turns; over all turns when none is valid. */
  readonly figures: Readonly<Record<string, Summary>>;
  /** Primary figure against the pass-through's, paired by turn; absent without a common valid turn. */
  readonly ratio?: Summary;
  readonly turns: number;
  readonly invalidTurns: number;
  readonly failures: Failures;
  readonly redone: number;
  readonly foreignShare?: Summary;
}

export interface Target {
  readonly scenario: ScenarioName;
  readonly what: string;
  /** Whose ratio it is about. Default: Outrigger's. */
  readonly peer?: PeerName;
  /** Most that its ratio to the base of the scenario may be. */
  readonly limit: number;
  /** What to strive for; never judged. */
  readonly aim?: number;
}

export interface Verdict extends Target {
  readonly ratio: number | undefined;
  readonly result: 'met' | 'missed' | 'not judged';
  /** Median share of the proxy's core that others took meanwhile, the worse of the two peers; 0 where unknown. */
  readonly noise: number;
}

export const targets: readonly Target[] = [
  { scenario: 'json', what: 'CPU per small request, fully armed', limit: 1.25, aim: 1.15 },
  { scenario: 'sse', what: 'CPU per event chunk', limit: 1.1 },
  { scenario: 'tap', what: 'CPU per chunk, followed and not', peer: 'tapped', limit: 1.1 },
  { scenario: 'idle', what: 'memory per idle stream', limit: 1.2 },
];

const isValid = (sample: TurnSample): boolean => countFailures(sample.failures) === 0;

export function evaluate({ scenario, samples }: ScenarioResult): PeerFigures[] {
  const base = primaryValues(samples, scenario.peers?.[0] ?? basePeer, scenario.primary);
  const peers = new Set(samples.map((sample) => sample.peer));
  return [...peers].map((peer) => {
    const own = samples.filter((sample) => sample.peer === peer);
    const valid = own.filter(isValid);
    const ratio = pairedRatio(primaryValues(samples, peer, scenario.primary), base);
    const foreignShare = summarise(own.flatMap((sample) => sample.foreignShare ?? []));
    return {
      peer,
      figures: summariesOf(valid.length > 0 ? valid : own),
      ...(ratio && { ratio }),
      turns: own.length,
      invalidTurns: own.length - valid.length,
      failures: sumFailures(own),
      redone: own.filter((sample) => sample.redone).length,
      ...(foreignShare && { foreignShare }),
    };
  });
}

function primaryValues(samples: readonly TurnSample[], peer: PeerName, primary: string): TurnValue[] {
  return samples
    .filter((sample) => sample.peer === peer && isValid(sample))
    .map(({ turn, figures }) => ({ turn, value: figures[primary] ?? Number.NaN }));
}

function summariesOf(samples: readonly TurnSample[]): Record<string, Summary> {
  const summaries: Record<string, Summary> = {};
  for (const key of Object.keys(samples[0]?.figures ?? {})) {
    const summary = summarise(samples.flatMap((sample) => sample.figures[key] ?? []));
    if (summary) summaries[key] = summary;
  }
  return summaries;
}

function sumFailures(samples: readonly TurnSample[]): Failures {
  const sum = { non2xx: 0, socketErrors: 0, incomplete: 0 };
  for (const { failures } of samples) {
    sum.non2xx += failures.non2xx;
    sum.socketErrors += failures.socketErrors;
    sum.incomplete += failures.incomplete;
  }
  return sum;
}

/** One verdict per target, whether its scenario ran or not. */
export function judge(results: ReadonlyMap<ScenarioName, readonly PeerFigures[]>): Verdict[] {
  return targets.map((target) => {
    const figures = results.get(target.scenario) ?? [];
    const ratio = figures.find(({ peer }) => peer === (target.peer ?? 'outrigger'))?.ratio?.median;
    const noise = Math.max(
      0,
      ...figures.filter(isCompared).map(({ foreignShare }) => foreignShare?.median ?? 0),
    );
    if (ratio === undefined || Number.isNaN(ratio))
      return { ...target, noise, ratio: undefined, result: 'not judged' };
    return { ...target, noise, ratio, result: ratio <= target.limit ? 'met' : 'missed' };
  });
}

function isCompared({ peer }: PeerFigures): boolean {
  return peer === 'outrigger' || peer === 'tapped' || peer === basePeer;
}
