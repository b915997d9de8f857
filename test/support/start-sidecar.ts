/** The whole sidecar, in this process, on free ports, from YAML text: what end-to-end tests drive. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventMap, EventName } from '../../src/core/events.ts';
import { Sidecar } from '../../src/sidecar.ts';
import { Conditions } from './conditions.ts';

export interface TestSidecar extends AsyncDisposable {
  readonly sidecar: Sidecar;
  /** Port of the shared data-plane listener. */
  readonly port: number;
  readonly adminPort: number;
  /** Every event so far, in order. */
  readonly events: readonly { readonly name: EventName; readonly event: unknown }[];
  eventsNamed<N extends EventName>(name: N): EventMap[N][];
  /** Resolves when `count` events of that name have come; rejects after 15 s with what came instead. */
  waitForEvent<N extends EventName>(name: N, count?: number): Promise<EventMap[N][]>;
  /** Sum of a metric's series whose labels include the given ones; 0 when there is none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** Parsed log lines so far; for what must not be among them. One that is being written just now may be missing. */
  logLines(): LogLine[];
  /**
   * Resolves with the lines that are so, when there are `count`: what an event writes is there a moment after it, and an
   * exchange ends after its client has the answer. Rejects after 15 s with the lines that came instead.
   */
  waitForLines(isWanted: (line: LogLine) => boolean, count?: number): Promise<LogLine[]>;
}

export type LogLine = Readonly<Record<string, unknown>>;

/** @param yaml without `server.listen` and `server.admin`: free ports are used */
export async function startSidecar(yaml: string): Promise<TestSidecar> {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-test-'));
  const logFile = join(folder, 'log');
  const sidecar = await Sidecar.start({
    input: {
      files: [],
      texts: [{ name: 'test.yaml', text: yaml }],
      env: {},
      sets: ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'],
    },
    watch: false,
    logTo: logFile,
  });
  return new Running(sidecar, { folder, logFile });
}

class Running implements TestSidecar {
  readonly sidecar: Sidecar;
  readonly port: number;
  readonly adminPort: number;
  readonly events: { name: EventName; event: unknown }[] = [];
  readonly #paths: { folder: string; logFile: string };
  readonly #changes = new Conditions();

  constructor(sidecar: Sidecar, paths: { folder: string; logFile: string }) {
    this.sidecar = sidecar;
    this.#paths = paths;
    this.port = sidecar.dataPlane.address()?.port ?? 0;
    this.adminPort = sidecar.admin.address()?.port ?? 0;
    sidecar.bus.onAny((name, event) => {
      this.events.push({ name, event });
      this.#changes.changed();
    });
  }

  eventsNamed<N extends EventName>(name: N): EventMap[N][] {
    return this.events.filter((one) => one.name === name).map(({ event }) => event as EventMap[N]);
  }

  waitForEvent<N extends EventName>(name: N, count = 1): Promise<EventMap[N][]> {
    const found = (): EventMap[N][] | undefined => {
      const named = this.eventsNamed(name);
      return named.length < count ? undefined : named;
    };
    const came = (): string => this.events.map((one) => one.name).join(', ');
    return this.#changes.until(found, () => `${count} × ${name}; came: ${came()}`);
  }

  async waitForLines(isWanted: (line: LogLine) => boolean, count = 1): Promise<LogLine[]> {
    for (;;) {
      const seen = this.events.length;
      // Also what is being written just now.
      await this.sidecar.log.settled();
      const found = this.logLines().filter(isWanted);
      if (found.length >= count) return found;
      const came = (): string =>
        this.logLines()
          .map((line) => JSON.stringify(line))
          .join('\n');
      const isMore = (): boolean => this.events.length > seen;
      await this.#changes.untilTrue(isMore, () => `${count} log lines; came:\n${came()}`);
    }
  }

  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
    const lines = (await this.sidecar.metrics.text()).split('\n');
    return lines
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => wanted.every((pair) => line.includes(pair)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  logLines(): LogLine[] {
    this.sidecar.log.flush();
    const text = readFileSync(this.#paths.logFile, 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LogLine);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sidecar.close();
    rmSync(this.#paths.folder, { recursive: true, force: true });
  }
}
