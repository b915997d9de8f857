/** One fresh proxy process: started, found ready, ended. */
import type { ChildProcess } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Launch, Peer } from '../peers/peer.ts';
import type { Pinning } from './machine.ts';
import { freePort, untilOk } from './probe.ts';
import { hasEnded, start, stop } from './processes.ts';
import { processTree } from './proc.ts';

const START_TIMEOUT_MS = 10_000;
const TAIL_CHARACTERS = 1_500;

export interface Proxy {
  readonly port: number;
  /** The started process and its workers. */
  readonly pids: readonly number[];
  /** From the call of spawn to the first proxied 200, in milliseconds. */
  readonly startMs: number;
}

export interface RunningProxy extends Proxy {
  stop(): Promise<void>;
}

interface Started {
  readonly child: ChildProcess;
  readonly port: number;
  readonly launch: Launch;
  readonly logFile: string;
  readonly spawnedAt: number;
}

/** Starts proxies, each in a directory of its own below one that goes away with the bench. */
export class Garage {
  readonly pinning: Pinning | undefined;
  readonly #directory = mkdtempSync(join(tmpdir(), 'outrigger-bench-'));
  #started = 0;

  constructor(pinning: Pinning | undefined) {
    this.pinning = pinning;
    // nginx's worker gives up root and still has to reach its files.
    chmodSync(this.#directory, 0o755);
    process.on('exit', () => this.#remove());
  }

  #remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A fresh directory for configuration and logs. */
  newDirectory(name: string): string {
    this.#started += 1;
    const directory = join(this.#directory, `${this.#started}-${name}`);
    mkdirSync(directory);
    return directory;
  }

  /**
   * Starts a proxy and waits until it serves.
   * @throws Error with the tail of the proxy's own output when it does not come up
   */
  async start(peer: Peer, upstreamPort: number): Promise<RunningProxy> {
    const started = await this.#spawn(peer, upstreamPort);
    const { child, port } = started;
    try {
      const startMs = await untilServing(peer, started);
      return { port, pids: processTree(child.pid ?? 0), startMs, stop: () => stop(child) };
    } catch (error) {
      await stop(child);
      throw error;
    }
  }

  async #spawn(peer: Peer, upstreamPort: number): Promise<Started> {
    const directory = this.newDirectory(peer.name);
    const [port, adminPort] = [await freePort(), await freePort()];
    const launch = peer.prepare({ port, adminPort, upstreamPort, directory });
    const logFile = join(directory, 'output.log');
    const output = openSync(logFile, 'a');
    const pin = this.pinning ? ['taskset', '-c', String(this.pinning.proxyCore)] : [];
    const [command = launch.command, ...args] = [...pin, launch.command, ...launch.args];
    const spawnedAt = performance.now();
    const child = start(command, args, ['ignore', output, output]);
    closeSync(output);
    return { child, port, launch, logFile, spawnedAt };
  }
}

/** @returns milliseconds from spawn to the first 200 through the data port */
async function untilServing(
  peer: Peer,
  { child, port, launch, logFile, spawnedAt }: Started,
): Promise<number> {
  const wait = { timeoutMs: START_TIMEOUT_MS, givenUp: () => hasEnded(child) };
  const serving = await untilOk(port, '/json', wait);
  const startMs = performance.now() - spawnedAt;
  const ready = serving && (!launch.ready || (await untilOk(launch.ready.port, launch.ready.path, wait)));
  if (ready) return startMs;
  const what = serving ? 'serves but never reported ready' : 'did not serve';
  throw new Error(
    `${peer.name} ${what}; its output ends with:\n${readFileSync(logFile, 'utf8').slice(-TAIL_CHARACTERS)}`,
  );
}
