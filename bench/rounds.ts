/**
 * The round robin. A round has fresh processes; in each turn of a round every peer is measured once, in changing order,
 * so that the machine's moods fall on all alike.
 */
import type { PeerName } from './options.ts';
import { cpuSeconds } from './lab/proc.ts';
import type { RunningProxy } from './lab/proxy.ts';
import type { Peer } from './peers/peer.ts';
import type { Bench, Sample, Scenario, Stage } from './scenarios/scenario.ts';

/** A sample with more work by others than this on the proxy's core is taken again, once. */
const NOISY_SHARE = 0.35;
/** Traffic between two looks at how warm a process is. */
const WARM_STEP_MS = 1_000;

export interface TurnSample extends Sample {
  readonly peer: PeerName;
  /** Counted through all rounds, from 0. */
  readonly turn: number;
  /** The first try was too noisy. */
  readonly redone: boolean;
}

export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly description: string;
  readonly samples: readonly TurnSample[];
  /** Peers that could not be measured, with the first error of each. They are left out of later turns. */
  readonly broken: ReadonlyMap<PeerName, string>;
  /** Time ran out before all turns were taken. */
  readonly cutShort: boolean;
}

interface Member {
  readonly peer: Peer;
  readonly proxy: RunningProxy;
}

export async function runScenario(
  scenario: Scenario,
  peers: readonly Peer[],
  bench: Bench,
): Promise<ScenarioResult> {
  const stage = await scenario.open(bench);
  const run = new ScenarioRun(scenario, stage, bench);
  try {
    for (let round = 0; round < run.rounds && run.hasTimeFor(round); round++) {
      process.stderr.write(
        `${seconds(performance.now())} ${scenario.name}: round ${round + 1} of ${run.rounds}\n`,
      );
      const order = inTurn(peers, round);
      const groups = scenario.together ? [order] : order.map((peer) => [peer]);
      for (const group of groups) await run.round(group, round);
    }
  } finally {
    await stage.close();
  }
  return {
    scenario,
    description: scenario.describe(bench),
    samples: run.samples,
    broken: run.broken,
    cutShort: run.cutShort,
  };
}

/** Since this process started. */
function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(0).padStart(4)} s`;
}

/** Everyone gets to be first, and every other time the order runs backwards. */
function inTurn<Entry>(entries: readonly Entry[], time: number): Entry[] {
  const shift = Math.floor(time / 2) % Math.max(1, entries.length);
  const turned = [...entries.slice(shift), ...entries.slice(0, shift)];
  return time % 2 === 0 ? turned : turned.reverse();
}

class ScenarioRun {
  readonly samples: TurnSample[] = [];
  readonly broken = new Map<PeerName, string>();
  readonly rounds: number;
  cutShort = false;
  #redosLeft: number;
  readonly #turns: number;
  readonly #scenario: Scenario;
  readonly #stage: Stage;
  readonly #bench: Bench;

  constructor(scenario: Scenario, stage: Stage, bench: Bench) {
    const { rounds, turns, redos } = bench.options.pace;
    this.rounds = rounds[scenario.name];
    this.#redosLeft = redos;
    this.#turns = scenario.together ? turns : 1;
    this.#scenario = scenario;
    this.#stage = stage;
    this.#bench = bench;
  }

  /** Whether the round or turn with this number may begin; the first always may. */
  hasTimeFor(number: number): boolean {
    if (number === 0 || performance.now() < this.#bench.endsAt) return true;
    this.cutShort = true;
    return false;
  }

  /** Starts and warms fresh processes, measures them turn by turn, and ends them whatever happened. */
  async round(peers: readonly Peer[], round: number): Promise<void> {
    const crew: Member[] = [];
    try {
      for (const peer of peers) await this.#guard(peer, () => this.#join(peer, crew));
      for (let turn = 0; turn < this.#turns && this.hasTimeFor(turn); turn++) {
        for (const member of inTurn(crew, turn)) {
          await this.#guard(member.peer, () => this.#measure(member, round * this.#turns + turn));
        }
      }
    } finally {
      await Promise.all(crew.map(({ proxy }) => proxy.stop()));
    }
  }

  /** Leaves out peers that failed before, and remembers those that fail now. */
  async #guard(peer: Peer, act: () => Promise<void>): Promise<void> {
    if (this.broken.has(peer.name)) return;
    try {
      await act();
    } catch (error) {
      this.broken.set(peer.name, error instanceof Error ? error.message : String(error));
    }
  }

  async #join(peer: Peer, crew: Member[]): Promise<void> {
    const proxy = await this.#bench.garage.start(peer, this.#stage.upstreamPort);
    crew.push({ peer, proxy });
    await this.#warm(peer, proxy);
  }

  async #warm(peer: Peer, proxy: RunningProxy): Promise<void> {
    if (!this.#stage.warm) return;
    const warmMs = peer.compilesWhileRunning ? this.#bench.options.pace.warmMs : 0;
    const giveUpAt = performance.now() + 1.5 * warmMs;
    const warmAt = cpuSeconds(proxy.pids) + warmMs / 1_000;
    do await this.#stage.warm(proxy, WARM_STEP_MS);
    while (cpuSeconds(proxy.pids) < warmAt && performance.now() < giveUpAt);
  }

  async #measure({ peer, proxy }: Member, turn: number): Promise<void> {
    const first = await this.#stage.sample(proxy);
    const noisy = (first.foreignShare ?? 0) > NOISY_SHARE;
    // A process that is measured once, for its memory, is not fresh a second time.
    if (!noisy || !this.#scenario.together || this.#redosLeft === 0) {
      this.samples.push({ peer: peer.name, turn, ...first, redone: false });
      return;
    }
    this.#redosLeft -= 1;
    const second = await this.#stage.sample(proxy);
    const quieter = (second.foreignShare ?? 0) < (first.foreignShare ?? 0) ? second : first;
    this.samples.push({ peer: peer.name, turn, ...quieter, redone: true });
  }
}
