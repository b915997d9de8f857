/** From the section `healthCheck` to probes of endpoints. */
import type { Clock } from '../core/clock.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { HealthCheckOptions, HttpCheckOptions } from '../schema/health-check.ts';
import type { TlsOptions } from '../transport/endpoint-transport.ts';
import { HttpClient } from '../transport/http-client.ts';
import type { Probes } from './checker.ts';
import { addressOf } from './probes/address.ts';
import { httpProbe } from './probes/http.ts';
import type { HttpExpectation, HttpQuestion } from './probes/http.ts';
import type { Probe } from './probes/probe.ts';
import { tcpProbe } from './probes/tcp.ts';
import { tlsProbe } from './probes/tls.ts';

export type ProbeOptions = Pick<HealthCheckOptions, 'http' | 'tcp' | 'tls' | 'port'>;

export class ConfiguredProbes implements Probes {
  readonly #options: ProbeOptions;
  readonly #deps: { readonly clock: Clock; readonly tls: TlsOptions };
  /** Made with the first probe that needs it: a configuration that is refused must leave nothing behind. */
  #client: HttpClient | undefined;

  /** @param deps `tls`: as towards the upstream */
  constructor(options: ProbeOptions, deps: { clock: Clock; tls: TlsOptions }) {
    this.#options = options;
    this.#deps = deps;
  }

  /** By the names that calls go by: what was found may be an address that nobody's certificate has. */
  probeFor(endpoint: Endpoint): Probe {
    const { http, tls, port } = this.#options;
    const { clock } = this.#deps;
    if (http !== undefined) {
      this.#client ??= new HttpClient(this.#deps);
      const question = questionOf(http, endpoint, port);
      return httpProbe(question, expectationOf(http), { clock, client: this.#client });
    }
    const address = addressOf(endpoint.origin, port);
    if (tls === undefined) return tcpProbe(address, clock);
    return tlsProbe(address, { serverName: withoutBrackets(endpoint.serverName), ...this.#deps.tls }, clock);
  }

  dispose(): void {
    this.#client?.dispose();
  }
}

function questionOf(
  { path, method, headers, host }: HttpCheckOptions,
  { origin, serverName }: Endpoint,
  port?: number,
): HttpQuestion {
  const url = new URL(originAt(origin, port));
  const ownHost = url.port === '' ? serverName : `${serverName}:${url.port}`;
  return {
    method,
    url: url.origin + path,
    serverName,
    headers: { ...lowerCase(headers), host: host ?? ownHost },
  };
}

const withoutBrackets = (host: string): string => host.replace(/^\[|\]$/g, '');

function originAt(origin: string, port: number | undefined): string {
  if (port === undefined) return origin;
  const url = new URL(origin);
  url.port = String(port);
  return url.origin;
}

const expectationOf = ({ status, body, degraded }: HttpCheckOptions): HttpExpectation => ({
  status,
  body: body && { contains: body.contains, matches: body.matches, withinBytes: body.within },
  degraded: degraded && { status: degraded.status, headers: lowerCase(degraded.headers ?? {}) },
});

const lowerCase = (fields: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));
