/** Catalogs and registries on free ports for one test each, and how to speak to them. */
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { onTestFinished } from 'vitest';
import type { z } from 'zod';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Registration } from '../../src/core/registry.ts';
import type { SharedInstances } from '../../src/core/shared-instances.ts';
import { Catalog } from '../../src/registry/catalog.ts';
import { RegistryHost } from '../../src/registry/host.ts';
import { registrySchema } from '../../src/schema/registry.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from '../support/policy-kit.ts';

export type RegistryInput = z.input<typeof registrySchema>;

export function catalogWith(input: RegistryInput = {}, clock = new FakeClock()) {
  const events = new EventLog();
  const catalog = new Catalog(registrySchema.parse(input), { clock, emit: events.emit });
  return { catalog, clock, events };
}

export const registration = (id: string, more: Partial<Registration> = {}): Registration => ({
  ...{ service: 'search', id, url: `http://127.0.0.1:9000/${id}`, status: 'up', weight: 1, priority: 0 },
  ...{ zone: undefined, metadata: {}, ttlMs: 30_000 },
  ...more,
});

/** The names and statuses of a service's instances, such as `a up`. */
export const statuses = (catalog: Catalog, service = 'search'): string[] =>
  catalog.instancesOf(service).map(({ id, status }) => `${id} ${status}`);

export interface TestRegistry {
  readonly host: RegistryHost;
  readonly events: EventLog;
  readonly port: number;
  readonly ask: (method: string, path: string, options?: AskOptions) => Promise<Asked>;
}

export interface AskOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Asked {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly json: Readonly<Record<string, unknown>>;
}

export async function registryWith(
  input: RegistryInput = {},
  { clock = systemClock, through }: { clock?: Clock; through?: SharedInstances } = {},
): Promise<TestRegistry> {
  const events = new EventLog();
  const host = new RegistryHost({ clock, random: seededRandom(3), emit: events.emit });
  await host.configure(registrySchema.parse({ listen: '127.0.0.1:0', ...input }), through);
  onTestFinished(() => host.close());
  const port = host.view?.listen.port ?? 0;
  return { host, events, port, ask: (method, path, options) => ask(port, method, path, options) };
}

export function ask(
  port: number,
  method: string,
  path: string,
  { body, headers }: AskOptions = {},
): Promise<Asked> {
  const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...{ host: '127.0.0.1', port, method, path, agent: false },
        headers: {
          ...(text !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(text),
          }),
          ...headers,
        },
      },
      (response) => {
        let answer = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
        response.on('error', reject).on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            json: answer === '' ? {} : (JSON.parse(answer) as Record<string, unknown>),
          }),
        );
      },
    );
    call.on('error', reject);
    call.end(text);
  });
}

export const pathOf = (id: string, service = 'search'): string => `/v1/services/${service}/instances/${id}`;
