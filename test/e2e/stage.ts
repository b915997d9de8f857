/** A scripted upstream behind a whole sidecar: what the end-to-end tests play on. */
import { request, type RequestInit } from '../support/raw-client.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import type { WaitOptions } from '../support/conditions.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar, type TestSidecar } from '../support/start-sidecar.ts';
import type { Script } from '../support/upstream/step.ts';

export interface Stage extends AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly sidecar: TestSidecar;
  /** Port of the data plane. */
  readonly port: number;
  /** One request on a connection of its own; `path` is what the upstream is asked for. */
  send(init?: RequestInit, options?: WaitOptions): Promise<RawResponse>;
}

export interface StageSettings {
  /** Settings of the upstream `api`, as the inside of a YAML flow mapping, such as `policies: { retry: false }`. */
  readonly api?: string;
  /** The rest of the configuration, as YAML text. */
  readonly rest?: string;
  /** Further upstreams beside `api`, as YAML text for one flow mapping entry each. */
  readonly others?: readonly string[];
}

/** @param script what the upstream `api`, routed at `/api`, does */
export async function stage(script: Script, settings: StageSettings = {}): Promise<Stage> {
  const upstream = await scriptedUpstream(script);
  const sidecar = await startSidecar(configOf(upstream.origin, settings));
  return {
    upstream,
    sidecar,
    port: sidecar.port,
    send: ({ path = '/', ...init } = {}, options) =>
      request(sidecar.port, { ...init, path: `/api${path}` }, options),
    [Symbol.asyncDispose]: async () => {
      await sidecar[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

function configOf(origin: string, { api, rest = '', others = [] }: StageSettings): string {
  const first = `api: { route: /api, endpoints: [{ url: "${origin}" }]${api === undefined ? '' : `, ${api}`} }`;
  return `${rest}\nupstreams: { ${[first, ...others].join(', ')} }\n`;
}
