/**
 * Health probes of a gateway asked models for completions: about two thousand dollars an hour, for nothing. A model API is
 * not asked anything that could be billed unless the operator says so, and by default nothing is asked at all.
 */
import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

function problemsOf(settings: string): string[] {
  const texts = [{ name: 'test.yaml', text: apiAt('https://models.example', settings) }];
  const result = loadConfig(configSchema, { files: [], texts, env: {}, sets: [] }, checkConfig);
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
}

it.each(['generic', 'openai', 'anthropic', 'gemini', 'mcp', 'a2a'])(
  'by default nothing is asked of an upstream that speaks %s: its own traffic shows how it is',
  async (dialect) => {
    await using model = await scriptedUpstream([respond({ body: '{}' })]);
    await using own = await ownSidecar(apiAt(model.origin, `dialect: ${dialect}`));
    await own.clock.advance(3_600_000);
    expect([model.requests.length, model.connections.peak]).toEqual([0, 0]);
  },
);

describe('a check over HTTP', () => {
  it.each(['openai', 'anthropic', 'gemini'])('of a model API (%s) is refused', (dialect) => {
    expect(problemsOf(`dialect: ${dialect}, healthCheck: { http: { path: /v1/models } }`)).toEqual([
      `upstreams.api.healthCheck.http: expected tcp, tls or mayCost: true: ${dialect} is the dialect of model APIs, and checks go out day and night`,
    ]);
  });

  it('of a model API by a preset is refused as well', () => {
    const text = 'upstreams: { api: { route: /api, preset: openai, healthCheck: { http: { path: /x } } } }';
    const texts = [{ name: 'test.yaml', text }];
    const result = loadConfig(configSchema, { files: [], texts, env: {}, sets: [] }, checkConfig);
    expect(result.ok ? [] : result.problems.map(({ line, column, path }) => [line, column, path])).toEqual([
      [1, expect.any(Number), 'upstreams.api.healthCheck.http'],
    ]);
  });

  it.each([
    '/v1/chat/completions',
    '/v1/completions',
    '/v1/responses',
    '/v1/messages?beta=true',
    '/openai/deployments/x/embeddings',
    '/v1beta/models/gemini:generateContent',
    '/v1/images/generations',
    '/api/generate',
  ])('at %s is refused whatever the dialect', (path) => {
    expect(problemsOf(`healthCheck: { http: { path: "${path}" } }`)).toEqual([
      `upstreams.api.healthCheck.http.path: expected tcp, tls or mayCost: true: a model is called at ${path}, and checks go out day and night`,
    ]);
  });

  it('with a method that may have an effect is refused', () => {
    expect(problemsOf('healthCheck: { http: { path: /healthz, method: POST } }')).toEqual([
      'upstreams.api.healthCheck.http.method: expected tcp, tls or mayCost: true: a POST may have an effect, and checks go out day and night',
    ]);
  });

  it.each([
    'dialect: openai, healthCheck: { http: { path: /v1/models }, mayCost: true }',
    'dialect: openai, healthCheck: { tcp: {} }',
    'dialect: anthropic, healthCheck: { tls: {} }',
    'healthCheck: { http: { path: /healthz } }',
    'healthCheck: { http: { path: /messages/health } }',
    'dialect: openai, healthCheck: false',
  ])('is allowed where it cannot cost anything, or by your word: %s', (settings) => {
    expect(problemsOf(settings)).toEqual([]);
  });
});

it('a model API that is checked by connecting gets no request, and no credential', async () => {
  await using model = await scriptedUpstream([respond({ body: '{}' })]);
  const settings = 'dialect: openai, credentials: { value: "Bearer k" }, healthCheck: { tcp: {}, jitter: 0 }';
  await using own = await ownSidecar(apiAt(model.origin, settings));
  for (let n = 1; n <= 5; n++) {
    await own.until('health-checked', n);
    await own.clock.advance(10_000);
  }
  expect(model.requests).toEqual([]);
});

it('credentials of the upstream are not sent with checks, unless they are written there', async () => {
  await using api = await scriptedUpstream([respond()]);
  const check = 'http: { path: /healthz, headers: { x-probe-key: abc } }, jitter: 0';
  await using own = await ownSidecar(
    apiAt(api.origin, `credentials: { value: "Bearer k" }, healthCheck: { ${check} }`),
  );
  await own.until('health-checked');
  const [request] = api.requests;
  expect([request?.header('authorization'), request?.header('x-probe-key')]).toEqual([undefined, 'abc']);
});
