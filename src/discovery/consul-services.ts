/** What Consul says of the instances of a service, read as endpoints. */
import { z } from 'zod';
import type { EndpointDescription, ReportedStatus } from '../core/endpoint.ts';
import { endpointUrl } from '../schema/endpoint.ts';

/** How an instance becomes an endpoint where Consul has no word for it. */
export interface ConsulReading {
  readonly scheme: 'http' | 'https';
  /** Empty, or beginning with a slash. */
  readonly path: string;
  /** Key of the metadata, of the service or else of its node, that names the zone. */
  readonly zoneKey: string;
}

export interface ConsulEndpoints {
  readonly endpoints: readonly EndpointDescription[];
  /** Why those by these ids are none. */
  readonly refused: ReadonlyMap<string, string>;
}

/** Go writes `null` for what is empty. */
const texts = z.record(z.string(), z.string()).nullish();

const entrySchema = z.object({
  Node: z.object({ Address: z.string().nullish(), Meta: texts }),
  Service: z.object({
    ID: z.string(),
    Address: z.string().nullish(),
    Port: z.number(),
    Meta: texts,
    Weights: z.object({ Passing: z.number(), Warning: z.number() }).nullish(),
  }),
  Checks: z.array(z.object({ CheckID: z.string(), Status: z.string() })).nullish(),
});

type Entry = z.output<typeof entrySchema>;

/** As for endpoints that are written down. */
const MAX_WEIGHT = 1_000;
const MAX_INSTANCE = 253;
const MAX_ZONE = 100;

/** @param body an answer of `/v1/health/service/:name` @returns undefined where it is none */
export function endpointsOf(body: unknown, reading: ConsulReading): ConsulEndpoints | undefined {
  if (!Array.isArray(body)) return undefined;
  const endpoints: (EndpointDescription & { readonly instance: string })[] = [];
  const refused = new Map<string, string>();
  body.forEach((one, index) => {
    const entry = entrySchema.safeParse(one);
    if (!entry.success) {
      const [issue] = entry.error.issues;
      refused.set(`[${index}]`, `${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? ''}`);
      return;
    }
    const endpoint = endpointOf(entry.data, reading);
    if (typeof endpoint === 'string') refused.set(entry.data.Service.ID, endpoint);
    else endpoints.push(endpoint);
  });
  // Consul's order may differ from answer to answer, and of two with one address the first counts. Ids are a node's own.
  endpoints.sort((a, b) => compare(a.instance, b.instance) || compare(a.url, b.url));
  return { endpoints, refused };
}

/** @returns what is wrong with it */
function endpointOf({ Node, Service, Checks }: Entry, { scheme, path, zoneKey }: ConsulReading) {
  const address = Service.Address || Node.Address || '';
  if (address === '') return 'it has no address';
  if (!(Service.Port >= 1 && Service.Port <= 65_535)) return 'it has no port';
  const host = address.includes(':') ? `[${address}]` : address;
  const url = `${scheme}://${host}:${Service.Port}${path}`;
  if (!endpointUrl.safeParse(url).success) return `its address ${JSON.stringify(address)} is none`;
  const status = statusOf(Checks ?? []);
  const weights = Service.Weights ?? { Passing: 1, Warning: 1 };
  const weight = status === 'degraded' ? weights.Warning : weights.Passing;
  const zone = Service.Meta?.[zoneKey] ?? Node.Meta?.[zoneKey];
  return {
    url,
    weight: Math.min(MAX_WEIGHT, Math.max(0, weight)),
    status,
    instance: Service.ID.slice(0, MAX_INSTANCE),
    metadata: Service.Meta ?? {},
    ...(zone !== undefined && zone !== '' && { zone: zone.slice(0, MAX_ZONE) }),
  } satisfies EndpointDescription;
}

const RANK: Readonly<Record<string, number>> = { passing: 0, warning: 1, critical: 2 };

/** The worst of its checks and its node's; maintenance comes before them, for it is somebody's wish. */
function statusOf(checks: readonly { readonly CheckID: string; readonly Status: string }[]): ReportedStatus {
  const maintained = checks.some(
    ({ CheckID }) => CheckID === '_node_maintenance' || CheckID.startsWith('_service_maintenance'),
  );
  if (maintained) return 'draining';
  const worst = Math.max(0, ...checks.map(({ Status }) => RANK[Status] ?? 2));
  return worst === 0 ? 'up' : worst === 1 ? 'degraded' : 'down';
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);
