import { expect, it } from 'vitest';
import { problemsOf } from '../support/docs-config.ts';

const problems = (policies: string, more = ''): string =>
  problemsOf(
    'a.yaml',
    `upstreams:
  a:
    route: /a
    dialect: openai
    endpoints: [{ url: "http://127.0.0.1:9" }]
    policies:
${policies.replace(/^/gm, '      ')}
${more.replace(/^/gm, '    ')}
`,
  );

const STEP = '- cache: stale';

it('a ladder that answers from a cache needs one; the place of the step is told', () => {
  const said = problems(`fallback:\n  - static: {}\n  ${STEP}`);
  expect(said).toContain('a.yaml:9');
  expect(said).toContain('upstreams.a.policies.fallback[1].cache');
  expect(said).toContain('expected a cache to answer from, but upstreams.a.policies.cache is off');
  expect(problems(`fallback:\n  after: 1s\n  steps:\n    ${STEP}\ncache: false`)).toContain(
    'fallback.steps[0].cache',
  );
  expect(problems(`fallback:\n  ${STEP}\ncache: {}`)).toBe('');
});

it('an override needs one, too: its own, or the upstream’s', () => {
  const override = (policies: string): string =>
    `overrides: { chats: { match: { method: chat }, policies: ${policies} } }`;
  expect(problems('cache: {}', override('{ fallback: [{ cache: stale }] }'))).toBe('');
  expect(problems('deadline: {}', override('{ fallback: [{ cache: stale }], cache: {} }'))).toBe('');
  const without = problems('deadline: {}', override('{ fallback: [{ cache: stale }] }'));
  expect(without).toContain('upstreams.a.overrides.chats.policies.fallback[0].cache');
  const off = problems(`cache: {}\nfallback:\n  ${STEP}`, override('{ cache: false }'));
  expect(off).toContain('but upstreams.a.overrides.chats.policies.cache is off');
});

it('what is not stale is no step, and a ttl is needed to override by', () => {
  expect(problems('cache: {}\nfallback: [{ cache: fresh }]')).toContain('expected');
  expect(problems('cache: { get: { override: true } }')).toContain(
    'expected a ttl for answers to be overridden by',
  );
  expect(problems('cache: { models: {} }')).toContain('ttl');
  expect(problems('cache: { models: { ttl: 1h }, post: [{ path: /x*, ttl: 5s }] }')).toBe('');
});
