/** Policies whose price is measured one by one: each is switched on in a process of its own, with room enough for all calls. */

const PRICED = {
  // No two bodies are alike: every call is looked for, missed, fetched and kept.
  '+cache': "cache: { post: [{ path: '/*', ttl: 1m }] }",
  // The same: every call is a run of its own that is kept.
  '+idempotency': 'idempotency: { derive: body }',
  '+spendCap': 'spendCap: { tokens: 1000000 }',
  '+rateLimit': 'rateLimit: { requests: 1000000, per: 1s }',
  '+bulkhead': 'bulkhead: { maxConcurrent: 1000 }',
  '+adaptiveBulkhead': 'bulkhead: { maxConcurrent: 1000, adaptive: { initial: 1000 } }',
  // Calls that may not run twice get no spare: what is left is the look at the clock.
  '+hedge': 'hedge: { after: 5s }',
  '+pacing': 'pacing: {}',
  '+adaptiveThrottling': 'adaptiveThrottling: {}',
} as const;

export type PricedName = keyof typeof PRICED;

export const pricedNames = Object.keys(PRICED) as readonly PricedName[] as readonly [
  PricedName,
  ...PricedName[],
];

/** The line of YAML under `policies` that switches it on. */
export const policyLine = (name: PricedName): string => PRICED[name];
