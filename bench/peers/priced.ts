/** Policies whose price is measured one by one: each is switched on in a process of its own, with room enough for all calls. */

const PRICED = {
  '+pacing': 'pacing: {}',
  '+spendCap': 'spendCap: { tokens: 1000000 }',
} as const;

export type PricedName = keyof typeof PRICED;

export const pricedNames = Object.keys(PRICED) as readonly PricedName[] as readonly [
  PricedName,
  ...PricedName[],
];

/** The line of YAML under `policies` that switches it on. */
export const policyLine = (name: PricedName): string => PRICED[name];
