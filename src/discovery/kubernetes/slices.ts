/**
 * The EndpointSlices of one Service, made one list: several slices may hold the same pod, while it moves between them or
 * because it has an address of each family.
 * @see https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
 */
import { z } from 'zod';
import type { EndpointDescription } from '../../core/endpoint.ts';

const present = <S extends z.ZodType>(schema: S) => schema.nullish().transform((value) => value ?? undefined);

/** What is read of a slice; the rest is the API's business. */
export const sliceSchema = z.object({
  metadata: z.object({ name: z.string(), resourceVersion: present(z.string()) }),
  addressType: z.enum(['IPv4', 'IPv6', 'FQDN']),
  ports: z
    .array(z.object({ name: present(z.string()), port: present(z.int()), protocol: present(z.string()) }))
    .nullish()
    .transform((ports) => ports ?? []),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()).min(1),
        conditions: z
          .object({
            ready: present(z.boolean()),
            serving: present(z.boolean()),
            terminating: present(z.boolean()),
          })
          .nullish(),
        nodeName: present(z.string()),
        zone: present(z.string()),
        targetRef: z.object({ name: present(z.string()), uid: present(z.string()) }).nullish(),
      }),
    )
    .nullish()
    .transform((endpoints) => endpoints ?? []),
});

export type Slice = z.output<typeof sliceSchema>;
type SliceEndpoint = Slice['endpoints'][number];

export interface SliceReach {
  readonly scheme: 'http' | 'https';
  readonly basePath: string;
  /** A port's name or the pods' number; undefined: the only one there is. */
  readonly port: string | number | undefined;
  readonly hostName: string;
}

/** The slices do not say which port is meant. The message is fit for a log line. */
export class UnclearPort extends Error {}

type Status = NonNullable<EndpointDescription['status']>;

interface Pod {
  readonly description: EndpointDescription;
  readonly status: Status;
  readonly family: Slice['addressType'];
}

/** Among several entries of one pod: the better one. */
const BY_STATUS: readonly Status[] = ['up', 'degraded', 'starting', 'draining', 'down'];
const BY_FAMILY: readonly Slice['addressType'][] = ['IPv4', 'IPv6', 'FQDN'];

export class SliceTable {
  readonly #reach: SliceReach;
  readonly #slices = new Map<string, Slice>();
  /** Pods that were ready once, by key: one of them that is not ready does not start, it is down. */
  #wereReady: ReadonlySet<string> = new Set();

  constructor(reach: SliceReach) {
    this.#reach = reach;
  }

  replaceAll(slices: readonly Slice[]): void {
    this.#slices.clear();
    for (const slice of slices) this.put(slice);
  }

  put(slice: Slice): void {
    this.#slices.set(slice.metadata.name, slice);
  }

  delete({ metadata }: Slice): void {
    this.#slices.delete(metadata.name);
  }

  /** One endpoint for each pod, in an order that does not depend on the slices'. @throws UnclearPort */
  endpoints(): EndpointDescription[] {
    const pods = new Map<string, Pod>();
    const wereReady = new Set<string>();
    for (const slice of this.#slices.values()) {
      if (slice.endpoints.length === 0) continue;
      const port = portOf(slice, this.#reach.port);
      for (const endpoint of slice.endpoints) {
        const key = endpoint.targetRef?.uid ?? endpoint.addresses[0] ?? '';
        const ready = endpoint.conditions?.ready ?? true;
        if (ready || this.#wereReady.has(key)) wereReady.add(key);
        const pod = this.#podOf(endpoint, { slice, port, status: statusOf(endpoint, wereReady.has(key)) });
        pods.set(key, better(pods.get(key), pod));
      }
    }
    this.#wereReady = wereReady;
    const all = [...pods.values()].map(({ description }) => description);
    return all.sort((a, b) => (a.url < b.url ? -1 : 1));
  }

  #podOf(
    { addresses, zone, nodeName, targetRef }: SliceEndpoint,
    { slice, port, status }: { readonly slice: Slice; readonly port: number; readonly status: Status },
  ): Pod {
    const { scheme, basePath, hostName } = this.#reach;
    // All addresses of one entry are the same pod; the first is as good as any.
    const [address = ''] = addresses;
    const host = slice.addressType === 'IPv6' ? `[${address}]` : address;
    const pod = targetRef?.name;
    return {
      status,
      family: slice.addressType,
      description: {
        url: `${scheme}://${host}:${port}${basePath}`,
        hostName,
        status,
        zone: zone === '' ? undefined : zone,
        instance: pod,
        metadata: { ...(nodeName !== undefined && { node: nodeName }), ...(pod !== undefined && { pod }) },
      },
    };
  }
}

/** What is not said counts as ready, as serving as it is ready, and as not terminating. */
function statusOf({ conditions }: SliceEndpoint, wasReady: boolean): Status {
  const ready = conditions?.ready ?? true;
  const serving = conditions?.serving ?? ready;
  if (conditions?.terminating === true) return serving ? 'draining' : 'down';
  if (ready) return 'up';
  return wasReady ? 'down' : 'starting';
}

function better(a: Pod | undefined, b: Pod): Pod {
  if (!a) return b;
  const byStatus = BY_STATUS.indexOf(a.status) - BY_STATUS.indexOf(b.status);
  const byFamily = BY_FAMILY.indexOf(a.family) - BY_FAMILY.indexOf(b.family);
  return (byStatus === 0 ? byFamily : byStatus) <= 0 ? a : b;
}

/** The number of the port that is wanted. Slices of Services without ports have none: the number given then counts. */
function portOf({ metadata, ports }: Slice, wanted: string | number | undefined): number {
  const tcp = ports.filter(({ protocol = 'TCP' }) => protocol === 'TCP');
  const found = tcp.filter(({ name = '', port }) => [undefined, name, port].includes(wanted));
  const [only] = found;
  if (only?.port !== undefined && found.length === 1) return only.port;
  if (typeof wanted === 'number' && ports.every(({ port }) => port === undefined)) return wanted;
  const known = tcp.map(({ name, port }) => `${name ? `${name} = ` : ''}${port ?? 'any'}`).join(', ');
  const which = wanted === undefined ? 'one port' : `a port ${wanted}`;
  throw new UnclearPort(`EndpointSlice ${metadata.name}: expected ${which}, found ${known || 'none'}`);
}
