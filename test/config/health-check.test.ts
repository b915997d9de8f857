import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { printConfig } from '../../src/config/print.ts';
import { configSchema } from '../../src/config/schema.ts';

const load = (healthCheck: string, url = 'https://a.test', env = {}) =>
  loadConfig(
    configSchema,
    {
      files: [],
      texts: [
        {
          name: 'test.yaml',
          text: `upstreams: { a: { route: /a, endpoints: [{ url: "${url}" }], healthCheck: ${healthCheck} } }`,
        },
      ],
      env,
      sets: [],
    },
    checkConfig,
  );

const problemsOf = (healthCheck: string, url?: string): string[] => {
  const result = load(healthCheck, url);
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
};

describe('a health check', () => {
  it.each(['{}', '{ tcp: {}, tls: {} }', '{ tcp: {}, http: { path: / } }'])(
    'is of exactly one kind: %s is refused',
    (text) => {
      const [problem = ''] = problemsOf(text);
      expect(problem).toContain('exactly one of http, tcp and tls');
    },
  );

  it.each([
    ['{ http: { path: healthz } }', 'expected a path such as "/healthz"'],
    ['{ http: { path: "/a b" } }', 'expected a path such as "/healthz"'],
    [
      '{ http: { path: /, headers: { Connection: close } } }',
      'expected headers other than those of the connection',
    ],
    ['{ http: { path: /, body: {} } }', 'expected contains, matches or both'],
    ['{ http: { path: /, body: { matches: "(" } } }', 'expected a regular expression'],
    ['{ http: { path: /, body: { contains: x, within: 2MiB } } }', 'expected a size from "1B" to "1MiB"'],
    ['{ http: { path: /, degraded: {} } }', 'expected status, headers or both'],
    ['{ tcp: {}, interval: 0s }', 'expected a duration above zero'],
    ['{ tcp: {}, fall: 0 }', '1'],
    ['{ tcp: {}, port: 70000 }', '65535'],
  ])('%s is refused', (text, why) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(why);
  });

  it('of certificates is refused where an endpoint has none, unless it looks at another port', () => {
    expect(problemsOf('{ tls: {} }', 'http://a.test')).toEqual([
      'upstreams.a.healthCheck.tls: expected https endpoints to check, got http://a.test',
    ]);
    expect(problemsOf('{ tls: {}, port: 8443 }', 'http://a.test')).toEqual([]);
  });

  it('does not show the values of its headers', () => {
    const result = load(
      '{ http: { path: /, headers: { authorization: "Bearer ${KEY}", x-plain: literal-secret } } }',
      'https://a.test',
      { KEY: 'top-secret' },
    );
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    const { healthCheck } = result.loaded.config.upstreams['a']!;
    expect(healthCheck && healthCheck.http?.headers['authorization']).toBe('Bearer top-secret');
    const printed = JSON.stringify(printConfig(configSchema, result.loaded, { origins: true }));
    expect(printed).toContain('x-plain');
    expect(printed).not.toMatch(/top-secret|literal-secret/);
  });
});
