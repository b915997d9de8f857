import { expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { configSchema } from '../../src/config/schema.ts';

const warningsOf = (dialect: string, rules: readonly object[]): string[] => {
  const a = { route: '/a', dialect, endpoints: [{ url: 'http://127.0.0.1:9' }], subset: { rules } };
  return checkConfig(configSchema.parse({ upstreams: { a } })).map(
    ({ path, message }) => `${path.join('.')}: ${message}`,
  );
};

it('a rule about calls is worth a warning where nobody reads them', () => {
  const rules = [{ from: 'header:x' }, { from: 'tool' }, { value: 'x', when: { model: 'm' } }];
  const message = 'no call fits: the generic dialect does not know what is called';
  expect(warningsOf('generic', rules)).toEqual([
    `upstreams.a.subset.rules.1: ${message}`,
    `upstreams.a.subset.rules.2: ${message}`,
  ]);
  expect(warningsOf('mcp', rules)).toEqual([]);
});
