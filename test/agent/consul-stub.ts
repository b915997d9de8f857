/** As much of a Consul agent's API as a registration needs, by its documentation; services go with `forget`. */
import { localServer } from './local-server.ts';
import type { LocalServer } from './local-server.ts';

interface Service {
  readonly ID: string;
  readonly Check: { readonly CheckID: string; readonly Status: string };
}

export interface ConsulStub extends AsyncDisposable {
  readonly server: LocalServer;
  /** By id, as they were registered. */
  readonly services: Map<string, Service>;
  /** By the id of the check. */
  readonly checks: Map<string, string>;
  /** Its restart without its data. */
  forget(): void;
}

export async function consulStub(token: string): Promise<ConsulStub> {
  const services = new Map<string, Service>();
  const checks = new Map<string, string>();
  const server = await localServer(({ method, url, headers, body }, response) => {
    const path = url.split('?')[0]!;
    const id = decodeURIComponent(path.split('/').at(-1)!);
    const end = (status: number, text = ''): void => void response.writeHead(status).end(text);
    if (headers['x-consul-token'] !== token) return end(403, 'Permission denied');
    if (method !== 'PUT') return end(405, 'method not allowed');
    if (path === '/v1/agent/service/register') {
      const service = JSON.parse(body) as Service;
      services.set(service.ID, service);
      checks.set(service.Check.CheckID, service.Check.Status);
      return end(200);
    }
    if (path.startsWith('/v1/agent/check/update/')) {
      if (!checks.has(id)) return end(404, `Unknown check ID "${id}". Ensure that the check ID is passed`);
      checks.set(id, (JSON.parse(body) as { Status: string }).Status);
      return end(200);
    }
    if (path.startsWith('/v1/agent/service/deregister/')) {
      checks.delete(`service:${id}`);
      return services.delete(id) ? end(200) : end(404, `Unknown service ID "${id}"`);
    }
    return end(404);
  });
  return {
    server,
    services,
    checks,
    forget: () => {
      services.clear();
      checks.clear();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
