/** Where the list of an upstream's endpoints comes from. One file per kind in `discovery/`. */
import type { EndpointDescription } from './endpoint.ts';

/**
 * A list that may change. It is asked, not listened to: whoever uses it compares versions. When the place that it comes
 * from is away, the last good list stays.
 */
export interface EndpointSource {
  /** Changes whenever the list does. */
  readonly version: number;
  readonly endpoints: readonly EndpointDescription[];
  /** Undefined where it cannot change. */
  readonly status?: DiscoveryStatus;
}

/** Of a list that is found while the sidecar runs. */
export interface DiscoveryStatus {
  /** Kind of the source, such as `dns`. */
  readonly kind: string;
  readonly endpoints: number;
  /** Milliseconds since the source said something last; undefined: it has not yet. */
  readonly ageMs: number | undefined;
  /** Why the source is of no use at present; undefined: it is. */
  readonly failure: string | undefined;
}
