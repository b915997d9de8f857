/** What every scenario looks like to the runner and to the report. */
import type { Failures } from '../load/jobs.ts';
import type { Load } from '../load/load.ts';
import type { Garage, Proxy } from '../lab/proxy.ts';
import type { Options, PeerName, ScenarioName } from '../options.ts';

export interface Bench {
  readonly options: Options;
  readonly garage: Garage;
  readonly load: Load;
  /** When the present scenario's time is over, on the scale of `performance.now()`. */
  readonly endsAt: number;
}

export interface Column {
  /** The figure's name in a sample. */
  readonly key: string;
  readonly title: string;
  readonly digits: number;
}

/** One peer in one turn. */
export interface Sample {
  readonly figures: Readonly<Record<string, number>>;
  readonly failures: Failures;
  /** Cores' worth of work by others on the proxy's core, 0–1; absent without pinning. */
  readonly foreignShare?: number;
}

/** A scenario that is set up. */
export interface Stage {
  /** Where the proxies shall forward to. */
  readonly upstreamPort: number;
  /** Unmeasured traffic of the kind that is measured later; absent where freshness is the point. */
  warm?(proxy: Proxy, durationMs: number): Promise<void>;
  sample(proxy: Proxy): Promise<Sample>;
  close(): Promise<void>;
}

export interface Scenario {
  readonly name: ScenarioName;
  readonly title: string;
  /** How it was loaded, for the line below the title. */
  describe(bench: Bench): string;
  /** The figure that ratios and targets are about; lower is better. */
  readonly primary: string;
  readonly columns: readonly Column[];
  /** Peers that take part, where those are not the usual ones. The first is the base of the ratios. */
  readonly peers?: readonly [PeerName, ...PeerName[]];
  /**
   * True: all peers' processes run side by side, and short measurements take turns between them, which is the finest
   * interleaving there is. False: one process at a time, measured once, for figures that depend on its past.
   */
  readonly together: boolean;
  open(bench: Bench): Promise<Stage>;
}

const USUAL: readonly PeerName[] = ['outrigger', 'pass-through', 'nginx', 'haproxy'];

/** Whether a peer has a part in a scenario. */
export const takesPart = ({ peers }: Scenario, peer: PeerName): boolean => (peers ?? USUAL).includes(peer);

export const peakColumn: Column = { key: 'peakMb', title: 'peak RSS MiB', digits: 0 };
