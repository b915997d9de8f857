/** Where state lives: what is refused, where, and that no secret is shown. */
import { expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { printConfig } from '../../src/config/print.ts';
import { formatProblems } from '../../src/config/problem.ts';
import { configSchema } from '../../src/config/schema.ts';
import { redisOptions } from '../../src/config/state-section.ts';
import { locationOf } from '../../src/schema/redis.ts';

const load = (state: string, upstreams = '{}') =>
  loadConfig(
    configSchema,
    {
      files: [],
      env: {},
      sets: [],
      texts: [{ name: 'a.yaml', text: `state: ${state}\nupstreams: ${upstreams}` }],
    },
    checkConfig,
  );

const problemsOf = (state: string): string => {
  const result = load(state);
  return result.ok ? '' : formatProblems(result.problems, 'text');
};

it('one line says all that most need', () => {
  const result = load('{ redis: "redis://127.0.0.1:6379" }');
  if (!result.ok) throw new Error('expected a configuration');
  expect(redisOptions(result.loaded.config.state)).toEqual({
    url: 'redis://127.0.0.1:6379',
    prefix: 'outrigger:',
    timeout: 50,
    connectTimeout: 1_000,
    tls: {},
  });
});

it('without it nothing is shared', () => {
  const result = load('{}');
  if (!result.ok) throw new Error('expected a configuration');
  expect(redisOptions(result.loaded.config.state)).toBeUndefined();
});

it.each([
  ['redis://cache', { kind: 'network', host: 'cache', port: 6379, secure: false }, 0],
  [
    'rediss://cache.example.com:6380/3',
    { kind: 'network', host: 'cache.example.com', port: 6380, secure: true },
    3,
  ],
  ['redis://[::1]:7000/', { kind: 'network', host: '::1', port: 7000, secure: false }, 0],
  ['unix:///run/redis.sock', { kind: 'socket', path: '/run/redis.sock' }, 0],
  ['unix:///run/my%20redis?db=2', { kind: 'socket', path: '/run/my redis' }, 2],
])('%s is an address', (url, address, database) => {
  expect(locationOf(url)).toEqual({ address, database });
});

it.each([
  '127.0.0.1:6379',
  'http://127.0.0.1',
  'redis://',
  'redis://a/x',
  'redis://a/1?x=1',
  'redis://a:99999',
])('%s is none', (url) => {
  expect(locationOf(url)).toBeUndefined();
  expect(problemsOf(`{ redis: { url: "${url}" } }`)).toContain(
    'a.yaml:1:24: state.redis.url: expected the URL',
  );
});

it.each(['unix://host/path', 'unix:///', 'unix:///a?db=x', 'unix:///%E0%A4%A', 'redis://a#b'])(
  '%s is none, either',
  (url) => {
    expect(locationOf(url)).toBeUndefined();
  },
);

it.each([
  '{ redis: "redis://u:hunter22@127.0.0.1" }',
  '{ redis: { url: "redis://:hunter22@127.0.0.1" } }',
  '{ redis: { url: "redis://127.0.0.1", username: u } }',
  '{ redis: { url: "redis://127.0.0.1", password: hunter22, timeout: 5 } }',
  '{ redis: { url: "redis://127.0.0.1", pasword: hunter22 } }',
  '{ redis: { url: "redis://127.0.0.1", password: [hunter22] } }',
  '{ redis: hunter22 }',
])('%s is refused, where it stands and without what is secret', (state) => {
  const problems = problemsOf(state);
  expect(problems).toMatch(/^a\.yaml:1:\d+: state\.redis/);
  expect(problems).not.toContain('hunter22');
});

it('TLS settings are for rediss URLs', () => {
  expect(problemsOf('{ redis: { url: "redis://a", tls: { serverName: b } } }')).toContain(
    'expected a URL with rediss:// beside tls',
  );
  expect(problemsOf('{ redis: { url: "rediss://a", tls: { serverName: b } } }')).toBe('');
});

it('a printed configuration does not show the password', () => {
  const result = load('{ redis: { url: "redis://127.0.0.1", password: hunter22 } }');
  if (!result.ok) throw new Error('expected a configuration');
  const text = printConfig(configSchema, result.loaded, { origins: true });
  expect(text).toContain('redis://127.0.0.1');
  expect(text).not.toContain('hunter22');
});

it('a limit of tokens where nobody counts tokens is worth a warning', () => {
  const policies = 'policies: { rateLimit: { tokens: 1000, per: 1m } }';
  const of = (dialect: string) =>
    load(
      '{}',
      `{ a: { route: /a, dialect: ${dialect}, endpoints: [{ url: "http://127.0.0.1:9" }], ${policies} } }`,
    );
  const [generic, openai] = [of('generic'), of('openai')];
  expect(generic.ok && generic.loaded.warnings).toMatchObject([
    { path: 'upstreams.a.policies.rateLimit', severity: 'warning' },
  ]);
  expect(openai.ok && openai.loaded.warnings).toEqual([]);
});
