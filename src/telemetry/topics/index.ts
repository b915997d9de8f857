/** Everything that telemetry knows of, one file each. The order means nothing. */
import type { Topic } from '../topic.ts';
import { attemptTimeout } from './attempt-timeout.ts';
import { attempts } from './attempts.ts';
import { cache } from './cache.ts';
import { circuitBreaker } from './circuit-breaker.ts';
import { configuration } from './configuration.ts';
import { credentials } from './credentials.ts';
import { deadline } from './deadline.ts';
import { endpoints } from './endpoints.ts';
import { exchanges } from './exchanges.ts';
import { fallback } from './fallback.ts';
import { pacing } from './pacing.ts';
import { processTopic } from './process.ts';
import { resume } from './resume.ts';
import { retry } from './retry.ts';
import { spendCap } from './spend-cap.ts';
import { store } from './store.ts';
import { usage } from './usage.ts';

export const TOPICS: readonly Topic[] = [
  attemptTimeout,
  attempts,
  cache,
  circuitBreaker,
  configuration,
  credentials,
  deadline,
  endpoints,
  exchanges,
  fallback,
  pacing,
  processTopic,
  resume,
  retry,
  spendCap,
  store,
  usage,
];
