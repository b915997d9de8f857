import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';

const upstreamWith = (settings: string): string =>
  `upstreams: { api: { route: /api, endpoints: [{ url: "http://127.0.0.1:9" }], ${settings} } }`;

const load = (text: string) =>
  loadConfig(
    configSchema,
    { files: [], env: {}, sets: [], texts: [{ name: 'test.yaml', text }] },
    checkConfig,
  );

function problemsOf(text: string): string[] {
  const result = load(text);
  const problems = result.ok ? result.loaded.warnings : result.problems;
  return problems.map(({ path, message, severity }) => `${severity} ${path}: ${message}`);
}

const retryOf = (text: string): unknown => {
  const result = load(text);
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join());
  return result.loaded.config.upstreams['api']?.overrides['one']?.policies['retry'];
};

const one = (policies: string): string =>
  `dialect: openai, overrides: { one: { match: { method: chat }, policies: { ${policies} } } }`;

describe('overrides', () => {
  it('lie over what was said of the same policy, in the upstream, its preset or the defaults', () => {
    const settings = `preset: openai, policies: { retry: { maxElapsed: 9s } }, ${one('retry: { maxRetries: 7 }')}`;
    expect(retryOf(upstreamWith(settings))).toMatchObject({
      maxRetries: 7,
      maxElapsed: 9_000,
      maxRetryAfter: 60_000,
    });
  });

  it('leave out what they do not name', () => {
    expect(
      retryOf(upstreamWith(`policies: { retry: { maxRetries: 1 } }, ${one('deadline: false')}`)),
    ).toBeUndefined();
  });

  it('switch on what is off for all others', () => {
    const settings = `policies: { retry: false }, ${one('retry: { maxRetries: 7 }')}`;
    expect(retryOf(upstreamWith(settings))).toMatchObject({ maxRetries: 7 });
  });

  it('are refused when nothing says for which calls', () => {
    const text = upstreamWith('dialect: openai, overrides: { one: { match: {}, policies: {} } }');
    expect(problemsOf(text)).toEqual([
      'error upstreams.api.overrides.one.match: expected at least one of method, tool and model, got an empty map',
    ]);
  });

  it('take part in the search for ladders that do not end', () => {
    expect(problemsOf(upstreamWith(one('fallback: [{ upstream: api }]'))).join()).toContain(
      'a cycle: api → api',
    );
  });

  it('are told to be idle where no call can be told from another', () => {
    const text = upstreamWith(one('retry: false')).replace('openai', 'generic');
    expect(problemsOf(text)).toEqual([
      'warning upstreams.api.overrides: no call fits: the generic dialect does not know what is called',
    ]);
  });

  it('options of another dialect are told to be idle', () => {
    expect(problemsOf(upstreamWith('mcp: { trustAnnotations: true }'))).toEqual([
      'warning upstreams.api.mcp: not in use: the dialect is generic',
    ]);
  });
});
