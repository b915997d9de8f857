/** All policies. Their order is pipeline.ts's business. */
export { adaptiveThrottling } from './adaptive-throttling.ts';
export { attemptTimeout } from './attempt-timeout.ts';
export { bulkhead } from './bulkhead.ts';
export { cache } from './cache.ts';
export { circuitBreaker } from './circuit-breaker.ts';
export { commitGate } from './commit-gate.ts';
export { credentials } from './credentials.ts';
export { deadline } from './deadline.ts';
export { fallback } from './fallback.ts';
export { hedge } from './hedge.ts';
export { rateLimit } from './rate-limit.ts';
export { idempotency } from './idempotency.ts';
export { outlierDetection } from './outlier-detection.ts';
export { resume } from './resume.ts';
export { pacing } from './pacing.ts';
export { retry } from './retry.ts';
export { spendCap } from './spend-cap.ts';
