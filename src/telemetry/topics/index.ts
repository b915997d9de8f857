/** Everything that telemetry knows of, one file each. The order means nothing. */
import type { Topic } from '../topic.ts';
import { adaptiveThrottling } from './adaptive-throttling.ts';
import { agent } from './agent.ts';
import { attemptTimeout } from './attempt-timeout.ts';
import { attempts } from './attempts.ts';
import { broadcast } from './broadcast.ts';
import { bulkhead } from './bulkhead.ts';
import { cache } from './cache.ts';
import { circuitBreaker } from './circuit-breaker.ts';
import { configKeys } from './config-keys.ts';
import { configuration } from './configuration.ts';
import { credentials } from './credentials.ts';
import { deadline } from './deadline.ts';
import { discovery } from './discovery.ts';
import { endpoints } from './endpoints.ts';
import { exchanges } from './exchanges.ts';
import { fallback } from './fallback.ts';
import { health } from './health.ts';
import { hedge } from './hedge.ts';
import { idempotency } from './idempotency.ts';
import { outlierDetection } from './outlier-detection.ts';
import { pacing } from './pacing.ts';
import { processTopic } from './process.ts';
import { rateLimit } from './rate-limit.ts';
import { registry } from './registry.ts';
import { resume } from './resume.ts';
import { retry } from './retry.ts';
import { scaling } from './scaling.ts';
import { spendCap } from './spend-cap.ts';
import { state } from './state.ts';
import { store } from './store.ts';
import { usage } from './usage.ts';

export const TOPICS: readonly Topic[] = [
  adaptiveThrottling,
  agent,
  attemptTimeout,
  attempts,
  broadcast,
  bulkhead,
  cache,
  circuitBreaker,
  configKeys,
  configuration,
  credentials,
  deadline,
  discovery,
  endpoints,
  exchanges,
  fallback,
  health,
  hedge,
  idempotency,
  outlierDetection,
  pacing,
  processTopic,
  rateLimit,
  registry,
  resume,
  retry,
  scaling,
  spendCap,
  state,
  store,
  usage,
];
