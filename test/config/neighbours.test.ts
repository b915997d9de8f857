import { expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { configSchema } from '../../src/config/schema.ts';

const upstream = (policies: object) => ({
  route: '/a',
  dialect: 'openai',
  endpoints: [{ url: 'http://127.0.0.1:9' }],
  policies,
});

const warningsOf = (upstreams: Readonly<Record<string, object>>): string[] =>
  checkConfig(configSchema.parse({ upstreams }))
    .filter(({ severity }) => severity === 'warning')
    .map(({ path, message }) => `${path.join('.')}: ${message}`);

const models = { models: { ttl: '1m' } };

it('a cache of completions without the gate that reads them is worth a warning', () => {
  expect(warningsOf({ a: upstream({ cache: models, commitGate: false }) })).toEqual([
    'upstreams.a.policies.cache.models: answers with an error inside, and streams that ended early, are kept: commitGate is off',
  ]);
  expect(warningsOf({ a: upstream({ cache: models }) })).toEqual([]);
  expect(warningsOf({ a: upstream({ cache: {}, commitGate: false }) })).toEqual([]);
});

it('a ladder around keyed calls that leads to an upstream without keys is worth a warning', () => {
  const first = upstream({ idempotency: {}, fallback: [{ upstream: 'b' }] });
  const second = (policies: object) => ({ ...upstream(policies), route: '/b' });
  expect(warningsOf({ a: first, b: second({}) })).toEqual([
    'upstreams.a.policies.fallback: b may run a call with a key twice: it has no idempotency policy',
  ]);
  expect(warningsOf({ a: first, b: second({ idempotency: {} }) })).toEqual([]);
});
