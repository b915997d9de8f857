/** The whole sidecar, in this process, on free ports, from YAML text: what end-to-end tests drive. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventMap, EventName } from '../../src/core/events.ts';
import { Sidecar } from '../../src/sidecar.ts';

export interface TestSidecar extends AsyncDisposable {
  readonly sidecar: Sidecar;
  /** Port of the shared data-plane listener. */
  readonly port: number;
  readonly adminPort: number;
  /** Every event so far, in order. */
  readonly events: readonly { readonly name: EventName; readonly event: unknown }[];
  eventsNamed<N extends EventName>(name: N): EventMap[N][];
  /** Resolves when `count` events of that name have come; rejects after 5 s with what came instead. */
  waitForEvent<N extends EventName>(name: N, count?: number): Promise<EventMap[N][]>;
  /** Sum of a metric's series whose labels include the given ones; 0 when there is none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** Parsed log lines so far. */
  logLines(): Record<string, unknown>[];
}

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

const WAIT_MS = 15_000;

class Running implements TestSidecar {
  readonly sidecar: Sidecar;
  readonly port: number;
  readonly adminPort: number;
  readonly events: { name: EventName; event: unknown }[] = [];
  readonly #paths: { folder: string; logFile: string };
  readonly #waiting = new Set<() => void>();

  constructor(sidecar: Sidecar, paths: { folder: string; logFile: string }) {
    this.sidecar = sidecar;
    this.#paths = paths;
    this.port = sidecar.dataPlane.address()?.port ?? 0;
    this.adminPort = sidecar.admin.address()?.port ?? 0;
    sidecar.bus.onAny((name, event) => {
      this.events.push({ name, event });
      for (const check of [...this.#waiting]) check();
    });
  }

  eventsNamed<N extends EventName>(name: N): EventMap[N][] {
    return this.events.filter((one) => one.name === name).map(({ event }) => event as EventMap[N]);
  }

  waitForEvent<N extends EventName>(name: N, count = 1): Promise<EventMap[N][]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`no ${count} × ${name}; came: ${this.events.map((one) => one.name).join(', ')}`));
      }, WAIT_MS);
      const check = (): void => {
        const found = this.eventsNamed(name);
        if (found.length < count) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(found);
      };
      this.#waiting.add(check);
      check();
    });
  }

  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
    const lines = (await this.sidecar.metrics.text()).split('\n');
    return lines
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => wanted.every((pair) => line.includes(pair)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  logLines(): Record<string, unknown>[] {
    this.sidecar.log.flush();
    const text = readFileSync(this.#paths.logFile, 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sidecar.close();
    rmSync(this.#paths.folder, { recursive: true, force: true });
  }
}
