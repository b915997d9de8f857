/** What happens to instances, for telemetry. */
import type { InstanceStatus } from '../core/registry.ts';
import type { FullLimit } from './refusals.ts';

/** Why an instance is not there any more. `evicted`: it was down, and its place was needed. */
export type Leaving = 'deregistered' | 'expired' | 'evicted';

/** `here`: this registry decided it, rather than one that it shares with. */
interface Told {
  readonly service: string;
  readonly instance: string;
  readonly here: boolean;
}

declare module '../core/events.ts' {
  interface EventMap {
    /** An instance that was not there is. */
    'instance-registered': Told & { readonly url: string; readonly status: InstanceStatus };
    /** Its status, or what else it says of itself, is another; `from` and `to` are then perhaps the same. */
    'instance-changed': Told & { readonly from: InstanceStatus; readonly to: InstanceStatus };
    /** It was not heard within its lease. */
    'instance-expired': Told & { readonly silentMs: number };
    /** It is not there any more. */
    'instance-left': Told & { readonly reason: Leaving };
    /** A heartbeat came. `unknown`: from an instance that must register anew. */
    'instance-heartbeat': { readonly service: string; readonly result: 'known' | 'unknown' };
    /** A registration did not fit. `refused`: which one since nobody was refused, from 1. */
    'registry-full': { readonly limit: FullLimit; readonly service: string; readonly refused: number };
    /** Nobody was refused for a minute. `refused`: so many were, within `lastedMs`. */
    'registry-not-full': { readonly limit: FullLimit; readonly refused: number; readonly lastedMs: number };
    /** Somebody who follows changes came, or went; `slow`: was cut off because nothing got through to it. */
    'registry-watcher': { readonly change: 'opened' | 'closed' | 'slow'; readonly watchers: number };
  }
}
