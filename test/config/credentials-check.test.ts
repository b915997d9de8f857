import { expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';

const load = (credentials: string, defaults = '{}') => {
  const text = `defaults: ${defaults}
upstreams: { a: { route: /a, endpoints: [{ url: "http://127.0.0.1:9" }], credentials: ${credentials} } }`;
  return loadConfig(
    configSchema,
    { files: [], env: {}, sets: [], texts: [{ name: 'a.yaml', text }] },
    checkConfig,
  );
};

it('two keys with one value are a warning that names them and shows nothing: a rotation may pass through it', () => {
  const result = load('{ keys: [{ name: one, value: sk-same }, { name: two, value: sk-same }] }');
  if (!result.ok) throw new Error('expected a configuration');
  expect(result.loaded.warnings).toMatchObject([
    { severity: 'warning', message: 'the value of two is that of one: the two count as one' },
  ]);
  expect(JSON.stringify(result.loaded.warnings)).not.toContain('sk-same');
});

it('an upstream with keys of its own takes the value of the defaults away with null', () => {
  const defaults = '{ credentials: { header: x-api-key, value: sk-default } }';
  expect(load('{ values: [sk-a, sk-b] }', defaults).ok).toBe(false);
  const result = load('{ value: null, values: [sk-a, sk-b] }', defaults);
  if (!result.ok) throw new Error('expected a configuration');
  expect(result.loaded.config.upstreams['a']?.credentials).toMatchObject({
    header: 'x-api-key',
    values: ['sk-a', 'sk-b'],
  });
});
