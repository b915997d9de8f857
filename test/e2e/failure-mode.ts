/**
 * One failure mode of an upstream, met by four kinds of requests: what each client saw, what reached the upstream, and
 * what the metrics say of it. Each kind has an upstream of its own in the configuration, and all lead to one script.
 */
import type { RawResponse } from '../support/client/raw-response.ts';
import { request, type RequestInit } from '../support/raw-client.ts';
import { startSidecar, type TestSidecar } from '../support/start-sidecar.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import type { RecordedRequest } from '../support/upstream/recorded-request.ts';
import type { Script } from '../support/upstream/step.ts';

export const KINDS = {
  get: { method: 'GET' },
  post: { method: 'POST', body: 'hello' },
  keyed: { method: 'POST', body: 'hello', headers: { 'idempotency-key': 'k1' } },
  declared: { method: 'POST', body: 'hello' },
} as const satisfies Record<string, RequestInit>;

export type Kind = keyof typeof KINDS;

/** What is the same in every expectation is left out of it: see {@link observed}. */
export interface Observed {
  readonly status: number;
  /** How the message ended for the client. */
  readonly end: string;
  readonly body?: string;
  /** `x-outrigger-code`. */
  readonly code?: string;
  /** The error token of Proxy-Status. */
  readonly proxyError?: string;
  /** Attempts by the class of what they brought. */
  readonly attempts: Readonly<Record<string, number>>;
  readonly retries?: Readonly<Record<string, number>>;
  /** Why no (further) retry was made. */
  readonly refused?: Readonly<Record<string, number>>;
  readonly timeouts?: Readonly<Record<string, number>>;
  readonly broken?: Readonly<Record<string, number>>;
}

export type Outcomes = Record<Kind, Observed>;

const RETRY = 'retry: { maxRetries: 2, backoff: { initial: 1ms, max: 1ms }, budget: false }';
/** For modes that a timer has to end. */
export const SHORT = '80ms';
/** For modes in which a timer must not be the one that ends them, however busy the machine. */
const LONG = '4s';

/**
 * @param script or the port of one where no script can listen: refused, or a black hole
 * @param timeout of every phase of an attempt
 */
export async function play(
  script: Script | { readonly port: number },
  timeout: string = LONG,
): Promise<Outcomes> {
  await using upstream = 'port' in script ? undefined : await scriptedUpstream(script);
  const port = 'port' in script ? script.port : (upstream?.port ?? 0);
  await using sidecar = await startSidecar(configOf(port, timeout));
  const kinds = Object.keys(KINDS) as Kind[];
  const outcomes = await Promise.all(
    kinds.map(async (kind) => [kind, await meet(kind, sidecar, upstream)] as const),
  );
  return Object.fromEntries(outcomes) as Outcomes;
}

function configOf(port: number, timeout: string): string {
  const upstreams = Object.keys(KINDS).map(
    (kind) =>
      `  ${kind}: { route: /${kind}, endpoints: [{ url: "http://127.0.0.1:${port}/${kind}" }]${kind === 'declared' ? ', idempotent: true' : ''} }`,
  );
  const timeouts = `attemptTimeout: { connect: ${timeout}, firstByte: ${timeout}, idle: ${timeout} }`;
  const policies = `defaults: { policies: { ${RETRY}, ${timeouts}, circuitBreaker: false } }`;
  return `${policies}\nupstreams:\n${upstreams.join('\n')}\n`;
}

async function meet(
  kind: Kind,
  sidecar: TestSidecar,
  upstream: ScriptedUpstream | undefined,
): Promise<Observed> {
  const response = await request(sidecar.port, { ...KINDS[kind], path: `/${kind}/call` });
  const end = await response.ended();
  await ended(sidecar, kind);
  const metrics = await sidecar.sidecar.metrics.text();
  const series = (name: string, label: string): Record<string, number> =>
    seriesOf(metrics, { name, upstream: kind, label });
  const attempts = series('outrigger_attempts_total', 'class');
  const seen = upstream?.requests.filter(({ target }) => target === `/${kind}/call`) ?? [];
  expectAgreement(kind, {
    trail: Number(response.header('x-outrigger-attempts')),
    counted: sum(attempts),
    requests: seen,
  });
  return {
    ...seenBy(response),
    end,
    attempts,
    ...nonEmpty('retries', series('outrigger_retries_total', 'cause')),
    ...nonEmpty('refused', series('outrigger_retries_refused_total', 'why')),
    ...nonEmpty('timeouts', series('outrigger_timeouts_total', 'timer')),
    ...nonEmpty('broken', series('outrigger_broken_responses_total', 'reason')),
  };
}

function seenBy(response: RawResponse): Pick<Observed, 'status' | 'body' | 'code' | 'proxyError'> {
  const { status } = response;
  const code = response.header('x-outrigger-code');
  if (code === undefined) return { status, body: response.received.toString() };
  const proxyError = /; error=([a-z_]+)/.exec(response.header('proxy-status') ?? '')?.[1];
  return { status, code, ...(proxyError !== undefined && { proxyError }) };
}

interface Agreement {
  readonly trail: number;
  readonly counted: number;
  readonly requests: readonly RecordedRequest[];
}

/** The header, the metric and the upstream tell of the same attempts, and every replay was the same request. */
function expectAgreement(kind: Kind, { trail, counted, requests }: Agreement): void {
  if (trail !== counted) throw new Error(`${kind}: the header says ${trail} attempts, the metric ${counted}`);
  if (requests.length > counted)
    throw new Error(`${kind}: the upstream saw ${requests.length} attempts of ${counted}`);
  const wanted = kind === 'get' ? '' : 'hello';
  for (const request of requests) {
    if (request.text() !== wanted)
      throw new Error(`${kind}: the upstream got ${JSON.stringify(request.text())}`);
  }
}

/** Until the exchange has been told of: a broken answer is seen by the client before that. */
async function ended(sidecar: TestSidecar, kind: Kind): Promise<void> {
  for (let count = 1; ; count++) {
    const endings = await sidecar.waitForEvent('exchange-ended', count);
    if (endings.some(({ exchange }) => exchange.route === `/${kind}`)) return;
  }
}

interface Series {
  readonly name: string;
  readonly upstream: string;
  /** Whose values are told apart. */
  readonly label: string;
}

function seriesOf(metrics: string, { name, upstream, label }: Series): Record<string, number> {
  const value = new RegExp(`[{,]${label}="([^"]*)"`);
  const found: Record<string, number> = {};
  for (const line of metrics.split('\n')) {
    if (!line.startsWith(`${name}{`) || !line.includes(`upstream="${upstream}"`)) continue;
    const key = value.exec(line)?.[1] ?? '';
    found[key] = (found[key] ?? 0) + Number(line.slice(line.lastIndexOf(' ') + 1));
  }
  return found;
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

const nonEmpty = (name: string, counts: Readonly<Record<string, number>>): object =>
  Object.keys(counts).length > 0 ? { [name]: counts } : {};
