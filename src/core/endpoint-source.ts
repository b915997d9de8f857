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
}
