/** Everything that policies keep beyond one exchange, by kind. */
import type { AnswerStore } from './answer-store.ts';
import type { OpenIdempotencyStore } from './idempotency-store.ts';
import type { LimitStore } from './limit-store.ts';

export interface Stores {
  readonly limits: LimitStore;
  readonly answers: AnswerStore;
  readonly idempotency: OpenIdempotencyStore;
}
