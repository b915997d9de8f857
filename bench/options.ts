/** What the command line asks for, with every default in one place. */
import { parseArgs } from 'node:util';

import { pricedNames } from './peers/priced.ts';

export const scenarioNames = ['json', 'sse', 'tap', 'big', 'idle', 'start', 'price'] as const;
export type ScenarioName = (typeof scenarioNames)[number];

export const peerNames = ['outrigger', 'tapped', 'pass-through', 'nginx', 'haproxy', ...pricedNames] as const;
export type PeerName = (typeof peerNames)[number];

/** How long and how often; durations are rounded to whole seconds where a tool knows nothing finer. */
export interface Pace {
  /**
   * CPU time of unmeasured traffic on a fresh process that compiles while it runs: the first seconds cost double.
   * CPU time, because on a busy machine little is compiled in a second; at most half as much again in real time.
   */
  readonly warmMs: number;
  readonly measureMs: number;
  /** Measurements of each peer per round, where a scenario measures the same processes again. */
  readonly turns: number;
  /** Noisy measurements taken again per scenario, so that a busy machine does not make the run endless. */
  readonly redos: number;
  /** Rest before memory is read. */
  readonly settleMs: number;
  readonly idleStreams: number;
  /** Transfers of 64 MiB per phase with fast readers. */
  readonly bigTransfers: number;
  /** Each round has fresh processes. */
  readonly rounds: Readonly<Record<ScenarioName, number>>;
  /**
   * Seconds a scenario may take; what it leaves over goes to the next. Past that no further turn begins, so that a busy
   * machine gives fewer figures and not a longer run. The first turn is always taken.
   */
  readonly budgetSeconds: Readonly<Record<ScenarioName, number>>;
}

export interface Options {
  readonly quick: boolean;
  readonly check: boolean;
  readonly pin: boolean;
  readonly scenarios: readonly ScenarioName[];
  readonly peers: readonly PeerName[];
  readonly pace: Pace;
  /** Outrigger's entry file, relative to the project root. */
  readonly entry: string;
  /** Where to keep the figures; undefined for nowhere. */
  readonly jsonFile: string | undefined;
}

export const usage = `node bench/run.ts [options]
  --quick            shorter and fewer rounds: under a minute, for a first look
  --only a,b         scenarios, of ${scenarioNames.join(', ')} (default: all)
  --peers a,b        of ${peerNames.join(', ')} (default: all)
  --rounds N         rounds (fresh processes) for every scenario, however long that takes
  --entry FILE       Outrigger's entry (default: src/main.ts; dist/main.js after a build)
  --no-pin           do not pin the proxy to a core of its own
  --json FILE        keep every sample, the summaries and the targets
  --check            exit 1 when a target is missed or could not be judged`;

const fullPace: Pace = {
  warmMs: 5_000,
  measureMs: 1_000,
  turns: 4,
  redos: 4,
  settleMs: 700,
  idleStreams: 1_000,
  bigTransfers: 8,
  rounds: { json: 2, sse: 2, tap: 2, big: 2, idle: 2, start: 5, price: 1 },
  budgetSeconds: { json: 68, sse: 72, tap: 45, big: 38, idle: 38, start: 16, price: 120 },
};

const quickPace: Pace = {
  warmMs: 2_000,
  measureMs: 1_000,
  turns: 2,
  redos: 1,
  settleMs: 300,
  idleStreams: 1_000,
  bigTransfers: 2,
  rounds: { json: 1, sse: 1, tap: 1, big: 1, idle: 1, start: 2, price: 1 },
  budgetSeconds: { json: 17, sse: 16, tap: 14, big: 10, idle: 10, start: 3, price: 50 },
};

/** @throws Error with a sentence for the person at the keyboard */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      quick: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      pin: { type: 'boolean', default: true },
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      entry: { type: 'string', default: 'src/main.ts' },
      json: { type: 'string' },
    },
  });
  const pace = values.quick ? quickPace : fullPace;
  return {
    quick: values.quick,
    check: values.check,
    pin: values.pin,
    scenarios: pick('--only', values.only, scenarioNames),
    peers: pick('--peers', values.peers, peerNames),
    pace: values.rounds === undefined ? pace : { ...pace, ...explicitRounds(values.rounds) },
    entry: values.entry,
    jsonFile: values.json,
  };
}

function pick<Name extends string>(flag: string, list: string | undefined, known: readonly Name[]): Name[] {
  if (list === undefined) return [...known];
  const wanted = list.split(',').map((name) => name.trim());
  const unknown = wanted.find((name) => !known.some((candidate) => candidate === name));
  if (unknown !== undefined) throw new Error(`${flag}: "${unknown}" is none of ${known.join(', ')}`);
  return known.filter((name) => wanted.includes(name));
}

function explicitRounds(text: string): Pick<Pace, 'rounds' | 'budgetSeconds'> {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds: "${text}" is not a whole number above 0`);
  return { rounds: forEach(rounds), budgetSeconds: forEach(Number.POSITIVE_INFINITY) };
}

function forEach(value: number): Record<ScenarioName, number> {
  return Object.fromEntries(scenarioNames.map((name) => [name, value])) as Record<ScenarioName, number>;
}
