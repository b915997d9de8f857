import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { LoadResult } from '../../src/config/load.ts';
import { formatOrigin, originOf } from '../../src/config/origins.ts';
import { DIALECT_NAMES } from '../../src/dialects/index.ts';
import { PRESET_NAMES, PRESETS } from '../../src/config/presets.ts';
import type { PresetName } from '../../src/config/presets.ts';
import { formatProblems } from '../../src/config/problem.ts';
import { configSchema } from '../../src/config/schema.ts';

const load = (text: string, sets: readonly string[] = []) =>
  loadConfig(
    configSchema,
    { files: [], env: {}, sets: [...sets], texts: [{ name: 'mine.yaml', text }] },
    checkConfig,
  );

function loaded<T>(result: LoadResult<T>): Extract<LoadResult<T>, { ok: true }>['loaded'] {
  if (!result.ok) throw new Error(formatProblems(result.problems, 'text'));
  return result.loaded;
}

const upstream = (text: string, rest = ''): string =>
  `${rest}upstreams:\n  api:\n    route: /api\n    ${text}\n`;
const apiOf = (text: string, rest = '') => loaded(load(upstream(text, rest))).config.upstreams['api'];

const OWN = 'endpoints: [{ url: "https://models.example.com" }]';
const needsEndpoint = (name: PresetName): boolean => !PRESETS[name].includes('endpoints:');

describe('presets', () => {
  it.each(PRESET_NAMES)(
    '%s is a whole upstream with a route, and endpoints where it cannot know them',
    (name) => {
      const api = apiOf(`preset: ${name}${needsEndpoint(name) ? `\n    ${OWN}` : ''}`);
      expect(api?.dialect).toBe((DIALECT_NAMES as readonly string[]).includes(name) ? name : 'openai');
      // A tool or an agent may act; a model only answers.
      expect(api?.idempotent).toBe(['mcp', 'a2a'].includes(name) ? false : 'compute');
      expect(api?.endpoints[0]?.url).toMatch(/^https?:\/\//);
      expect(api?.policies.retry).toMatchObject({ classes: ['transient', 'throttled', 'overloaded'] });
    },
  );

  it.each(PRESET_NAMES.filter(needsEndpoint))('%s asks for the endpoints', (name) => {
    const result = load(upstream(`preset: ${name}`));
    expect(result.ok ? '' : formatProblems(result.problems, 'text')).toContain('upstreams.api.endpoints');
  });

  it('give way to what the upstream itself says, deeply', () => {
    const api = apiOf(
      `preset: openai\n    idempotent: false\n    ${OWN}\n    policies: { retry: { maxRetries: 7 }, circuitBreaker: false }`,
    );
    expect(api).toMatchObject({
      idempotent: false,
      endpoints: [{ url: 'https://models.example.com' }],
      policies: { retry: { maxRetries: 7, maxElapsed: 300_000 }, circuitBreaker: false },
    });
    expect(api?.endpoints).toHaveLength(1);
  });

  it('give way to the defaults of all upstreams, too', () => {
    const api = apiOf('preset: openai', 'defaults: { policies: { retry: { maxRetries: 1 } } }\n');
    expect(api?.policies.retry).toMatchObject({ maxRetries: 1, maxElapsed: 300_000 });
  });

  it('lose a setting that the upstream takes away', () => {
    const api = apiOf('preset: openai\n    policies: { retry: { maxElapsed: null } }');
    expect(api?.policies.retry).toMatchObject({ maxElapsed: 60_000, maxRetryAfter: 60_000 });
  });

  it('can be named by a later layer', () => {
    const { config } = loaded(load(upstream(OWN), ['upstreams.api.preset=vllm']));
    expect(config.upstreams['api']).toMatchObject({
      dialect: 'openai',
      policies: { retry: { maxRetries: 3 } },
    });
  });

  it('leave other upstreams alone', () => {
    const text = `${upstream('preset: openai')}  plain: { route: /plain, ${OWN} }\n`;
    expect(loaded(load(text)).config.upstreams['plain']).toMatchObject({
      dialect: 'generic',
      idempotent: false,
    });
  });

  it('switches nothing on again, by an override of its own, that the upstream switched off', () => {
    const off = apiOf(`preset: mcp\n    ${OWN}\n    policies: { attemptTimeout: false }`);
    expect(off?.policies.attemptTimeout).toBe(false);
    expect(off?.overrides['listening']?.policies['attemptTimeout']).toBeUndefined();
    const on = apiOf(`preset: mcp\n    ${OWN}`);
    expect(on?.overrides['listening']?.policies['attemptTimeout']).toMatchObject({ idle: false });
  });

  it.each(['opanai', '__proto__', '[openai]', '{}'])('%s is none, and is said so', (name) => {
    const result = load(upstream(`preset: ${name}\n    ${OWN}`));
    const text = result.ok ? '' : formatProblems(result.problems, 'text');
    expect(text).toContain('mine.yaml:4:13: upstreams.api.preset: ');
    if (name === 'opanai') expect(text).toContain('did you mean "openai"?');
  });
});

describe('where values come from', () => {
  const { tree } = loaded(
    load(
      upstream(
        'preset: openai\n    policies: { retry: { maxRetries: 7 } }',
        'defaults: { replayLimit: 1MiB }\n',
      ),
    ),
  );
  const originAt = (...path: readonly string[]): string =>
    formatOrigin(originOf({ tree }, ['upstreams', 'api', ...path]));

  it('a value of a preset comes from its line there', () => {
    expect(originAt('dialect')).toBe('preset openai:1:10');
    expect(originAt('policies', 'retry', 'maxElapsed')).toMatch(/^preset openai:\d+:\d+$/);
    expect(originAt('endpoints')).toMatch(/^preset openai:2:\d+$/);
  });

  it('the rest comes from where it did', () => {
    expect(originAt('policies', 'retry', 'maxRetries')).toBe('mine.yaml:6:38');
    expect(originAt('replayLimit')).toMatch(/^defaults mine\.yaml:1:/);
    expect(originAt('keepAlive')).toBe('default');
  });
});
