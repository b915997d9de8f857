/** Instances as values: made of what is said of them, compared by it, and shown. */
import type { Instance, Registration } from '../core/registry.ts';
import type { Entry } from './service.ts';

/** A known instance of which this is said now. */
export const instanceOf = (said: Registration, known: Instance): Instance => ({
  ...known,
  ...said,
  reported: said.status,
  expired: false,
});

/** Whether they say the same of an instance; where and when it was heard aside. */
export function isSame(a: Instance, b: Instance): boolean {
  return (
    a.url === b.url &&
    a.reported === b.reported &&
    a.expired === b.expired &&
    a.weight === b.weight &&
    a.priority === b.priority &&
    a.zone === b.zone &&
    a.ttlMs === b.ttlMs &&
    isSameMap(a.metadata, b.metadata)
  );
}

function isSameMap(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** An instance as clients see it, without what passes by itself. */
export interface InstanceView {
  readonly service: string;
  readonly id: string;
  readonly url: string;
  readonly status: Instance['status'];
  /** Its lease ran out: that, not itself, says that it is down. */
  readonly expired: boolean;
  readonly weight: number;
  readonly priority: number;
  readonly zone?: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly ttlMs: number;
  /** Registered, or last heard, at this registry rather than at one that it shares with. */
  readonly here: boolean;
  readonly revision: number;
}

export function viewOf(instance: Instance): InstanceView {
  const { service, id, url, status, expired, weight, priority, zone, metadata, ttlMs, here, revision } =
    instance;
  return {
    ...{ service, id, url, status, expired, weight, priority },
    ...(zone !== undefined && { zone }),
    ...{ metadata, ttlMs, here, revision },
  };
}

/** The same with its times. What another registry hears has no lease here. */
export function viewAt({ instance, beatAt, expiresAt, expiredAt }: Entry, now: number) {
  return {
    ...viewOf(instance),
    ageMs: Math.round(now - instance.registeredAt),
    ...(instance.here && { heartbeatAgoMs: Math.round(now - beatAt) }),
    ...(instance.here &&
      expiredAt === undefined && { expiresInMs: Math.max(0, Math.round(expiresAt - now)) }),
    ...(expiredAt !== undefined && { expiredAgoMs: Math.round(now - expiredAt) }),
  };
}
