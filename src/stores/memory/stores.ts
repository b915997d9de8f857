/** Everything that policies keep, in this process alone. */
import type { Clock } from '../../core/clock.ts';
import type { Stores } from '../../core/stores.ts';
import { memoryAnswers } from './answers.ts';
import { NO_HINTS } from './hints.ts';
import { openMemoryIdempotency } from './idempotency.ts';
import { MemoryLimits } from './limits.ts';

export interface MemoryStores extends Stores {
  readonly limits: MemoryLimits;
}

export const memoryStores = (clock: Clock): MemoryStores => ({
  hints: NO_HINTS,
  limits: new MemoryLimits(clock),
  answers: memoryAnswers(clock),
  idempotency: openMemoryIdempotency(clock),
});
