/** Everything that policies keep beyond one exchange, by kind. */
import type { OpenIdempotencyStore } from './idempotency-store.ts';
import type { LimitStore } from './limit-store.ts';

export interface Stores {
  readonly limits: LimitStore;
  readonly idempotency: OpenIdempotencyStore;
}
