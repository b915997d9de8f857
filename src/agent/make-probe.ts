/** From the `agent.check` section to the probe of its kind. */
import type { Clock } from '../core/clock.ts';
import { addressOf } from '../health/probes/address.ts';
import { httpProbe } from '../health/probes/http.ts';
import type { Probe } from '../health/probes/probe.ts';
import { tcpProbe } from '../health/probes/tcp.ts';
import type { AgentOptions } from '../schema/agent.ts';
import type { HttpClient } from '../transport/http-client.ts';
import { execProbe } from './exec-probe.ts';

export interface ProbeDeps {
  readonly clock: Clock;
  readonly http: HttpClient;
}

export function makeProbe({ address, local = address, check, env }: AgentOptions, deps: ProbeDeps): Probe {
  const { http, exec, tcp } = check;
  if (exec) {
    const { command } = exec;
    return execProbe({ command, env, timeoutMs: check.timeout, leftovers: 'kill' }, deps.clock);
  }
  if (!http) return tcpProbe(addressOf(local, tcp?.port), deps.clock);
  const { method, headers, status, degradedStatus } = http;
  const question = { method, url: urlOf(local, http), headers };
  return httpProbe(
    question,
    { status, degraded: { status: degradedStatus } },
    { ...deps, client: deps.http },
  );
}

/** The path is the whole one: a base path is for those who call the agent. */
function urlOf(local: string, { path, port }: { path: string; port?: number | undefined }): string {
  const url = new URL(local);
  if (port !== undefined) url.port = String(port);
  return `${url.origin}${path}`;
}
