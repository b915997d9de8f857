/** Which instances somebody wants to see, from the query of the request. */
import { INSTANCE_STATUSES } from '../core/registry.ts';
import type { Instance, InstanceStatus } from '../core/registry.ts';
import { nameMisfit, shown } from './read-registration.ts';
import type { Read } from './read-registration.ts';

export interface Filter {
  readonly service: string | undefined;
  readonly statuses: readonly InstanceStatus[] | undefined;
  /** True: `up` and `degraded`. False: the others. */
  readonly healthy: boolean | undefined;
  readonly zone: string | undefined;
  /** Each must be there with this value. */
  readonly metadata: readonly (readonly [string, string])[];
}

export interface Paged extends Filter {
  /** Instances in one answer. */
  readonly limit: number;
  /** `service/id` of the last one seen. */
  readonly after: string | undefined;
}

/** Most and default: enough for most services at once, small enough to be made in one go. */
export const PAGE = 1_000;
const METADATA = 'metadata.';
const FILTERS = ['service', 'status', 'healthy', 'zone'];

export function matches(filter: Filter, instance: Instance): boolean {
  const { service, statuses, healthy, zone, metadata } = filter;
  return (
    (service === undefined || service === instance.service) &&
    (statuses === undefined || statuses.includes(instance.status)) &&
    (healthy === undefined || healthy === isHealthy(instance)) &&
    (zone === undefined || zone === instance.zone) &&
    metadata.every(([key, value]) => instance.metadata[key] === value)
  );
}

const isHealthy = ({ status }: Instance): boolean => status === 'up' || status === 'degraded';

/** @param service from the path, which then leaves no choice */
export function readPaged(query: URLSearchParams, service?: string): Read<Paged> {
  const read = readFilter(query, service, ['limit', 'after']);
  if (!read.ok) return read;
  const limit = query.get('limit') ?? String(PAGE);
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > PAGE)
    return misfit('limit', `a whole number from 1 to ${PAGE}`, limit);
  return {
    ok: true,
    value: { ...read.value, limit: Number(limit), after: query.get('after') ?? undefined },
  };
}

export function readFilter(
  query: URLSearchParams,
  service?: string,
  others: readonly string[] = [],
): Read<Filter> {
  const known = [...(service === undefined ? FILTERS : FILTERS.slice(1)), ...others];
  for (const key of query.keys())
    if (!known.includes(key) && !key.startsWith(METADATA))
      return misfit(key, `one of ${known.join(', ')} and ${METADATA}<key>`, 'a parameter of this name');
  const name = service ?? query.get('service') ?? undefined;
  const wrong = name === undefined ? undefined : nameMisfit('service', name);
  if (wrong) return { ok: false, misfit: wrong };
  const healthy = query.get('healthy');
  if (healthy !== null && healthy !== 'true' && healthy !== 'false')
    return misfit('healthy', 'true or false', healthy);
  const statuses = query.get('status')?.split(',');
  const strange = statuses?.find((one) => !INSTANCE_STATUSES.includes(one as InstanceStatus));
  if (strange !== undefined)
    return misfit('status', `some of ${INSTANCE_STATUSES.join(', ')}, separated by commas`, strange);
  const value: Filter = {
    service: name,
    statuses: statuses as readonly InstanceStatus[] | undefined,
    healthy: healthy === null ? undefined : healthy === 'true',
    zone: query.get('zone') ?? undefined,
    metadata: [...query].flatMap(([key, text]) =>
      key.startsWith(METADATA) ? [[key.slice(METADATA.length), text] as const] : [],
    ),
  };
  return { ok: true, value };
}

const misfit = (key: string, expected: string, got: string): Read<never> => ({
  ok: false,
  misfit: { where: `query.${key}`, expected, got: shown(got) },
});
