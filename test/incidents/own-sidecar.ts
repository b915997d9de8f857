/** A whole sidecar on real sockets whose clock the test moves and whose configuration file the test edits. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import type { EventMap, EventName } from '../../src/core/events.ts';
import type { ReloadResult } from '../../src/runtime/supervisor.ts';
import { Sidecar } from '../../src/sidecar.ts';
import { configFile } from '../cli/fixture.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from '../support/policy-kit.ts';
import { request, type RequestInit } from '../support/raw-client.ts';

export interface OwnSidecar extends AsyncDisposable {
  readonly sidecar: Sidecar;
  /** Port of the data plane. */
  readonly port: number;
  readonly clock: FakeClock;
  readonly events: EventLog;
  /** One request to the upstream `api` on a connection of its own. */
  send(init?: RequestInit): Promise<RawResponse>;
  /** Resolves once `count` events of that name have come. */
  until<N extends EventName>(name: N, count?: number): Promise<EventMap[N][]>;
  /** Writes the file anew and reloads. */
  edit(yaml: string): Promise<ReloadResult>;
  /** Sample lines of the metrics whose name begins so. */
  series(prefix: string): Promise<string[]>;
  /** All log lines so far. */
  logText(): string;
}

/** YAML for one upstream `api`, routed at `/api`; `settings` is the inside of a flow mapping. */
export const apiAt = (origin: string, settings = '', others = ''): string =>
  `upstreams: { api: { route: /api, endpoints: [{ url: "${origin}" }], ${settings} }, ${others} }\n`;

export async function ownSidecar(yaml: string): Promise<OwnSidecar> {
  const file = configFile(yaml);
  const clock = new FakeClock();
  const events = new EventLog();
  const log = join(dirname(file), 'log');
  const sets = ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'];
  const sidecar = await Sidecar.start({
    input: { files: [file], env: {}, sets },
    watch: false,
    logTo: log,
    clock,
  });
  sidecar.bus.onAny((name, event) => events.emit(name, event));
  const port = sidecar.dataPlane.address()?.port ?? 0;
  return {
    sidecar,
    port,
    clock,
    events,
    send: (init = {}) => request(port, { path: '/api/x', ...init }),
    until: async (name, count = 1) => {
      await expect.poll(() => events.of(name).length, { interval: 2 }).toBeGreaterThanOrEqual(count);
      return events.of(name);
    },
    edit: (text) => {
      writeFileSync(file, text);
      return sidecar.reload('test');
    },
    series: async (prefix) =>
      (await sidecar.metrics.text()).split('\n').filter((line) => line.startsWith(prefix)),
    logText: () => {
      sidecar.log.flush();
      return readFileSync(log, 'utf8');
    },
    [Symbol.asyncDispose]: () => sidecar.close(),
  };
}
