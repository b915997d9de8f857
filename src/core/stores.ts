/** Everything that policies keep beyond one exchange, by kind. */
import type { AnswerStore } from './answer-store.ts';
import type { OpenIdempotencyStore } from './idempotency-store.ts';
import type { HintStore } from './hint-store.ts';
import type { LimitStore } from './limit-store.ts';

export interface Stores {
  readonly hints: HintStore;
  readonly limits: LimitStore;
  readonly answers: AnswerStore;
  readonly idempotency: OpenIdempotencyStore;
}
