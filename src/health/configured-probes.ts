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

  probeFor({ origin }: Endpoint): Probe {
    const { http, tls, port } = this.#options;
    const { clock } = this.#deps;
    if (http !== undefined) {
      this.#client ??= new HttpClient(this.#deps);
      return httpProbe(questionOf(http, origin, port), expectationOf(http), { clock, client: this.#client });
    }
    const address = addressOf(origin, port);
    return tls !== undefined ? tlsProbe(address, this.#deps.tls, clock) : tcpProbe(address, clock);
  }

  dispose(): void {
    this.#client?.dispose();
  }
}

function questionOf(
  { path, method, headers, host }: HttpCheckOptions,
  origin: string,
  port?: number,
): HttpQuestion {
  return {
    method,
    url: originAt(origin, port) + path,
    headers: { ...lowerCase(headers), ...(host !== undefined && { host }) },
  };
}

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
