/** Instances that registered themselves, read as endpoints. */
import type { EndpointDescription, ReportedStatus } from '../core/endpoint.ts';
import type { Instance, InstanceStatus } from '../core/registry.ts';

/** What is known of an instance here and elsewhere. */
export type KnownInstance = Pick<
  Instance,
  'id' | 'url' | 'status' | 'weight' | 'priority' | 'zone' | 'metadata'
>;

const STATUS_OF: Readonly<Record<InstanceStatus, ReportedStatus>> = {
  up: 'up',
  starting: 'starting',
  degraded: 'degraded',
  stopping: 'draining',
  down: 'down',
};

/**
 * By id, so that the same instances are always the same list.
 * @param wanted metadata that an instance must have
 */
export function endpointsOf(
  instances: readonly KnownInstance[],
  wanted: Readonly<Record<string, string>>,
): EndpointDescription[] {
  const pairs = Object.entries(wanted);
  return instances
    .filter(({ metadata }) => pairs.every(([key, value]) => metadata[key] === value))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id, url, status, weight, priority, zone, metadata }) => ({
      ...{ url, weight, priority, metadata, instance: id, status: STATUS_OF[status] },
      ...(zone !== undefined && { zone }),
    }));
}
