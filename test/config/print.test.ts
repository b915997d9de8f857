import { describe, expect, it } from 'vitest';
import { formatOrigin } from '../../src/config/origins.ts';
import { effectiveValues, printConfig } from '../../src/config/print.ts';
import { load, loaded, openai, sampleSchema } from './sample-schema.ts';
import type { Given } from './sample-schema.ts';

const print = (texts: string | readonly string[], given: Given = {}, origins = false): string =>
  printConfig(sampleSchema, loaded(texts, given), { origins });

describe('print-config', () => {
  it('writes the whole configuration in the form it is written in, defaults filled in', () => {
    const yaml = openai(
      '    credentials: { value: "Bearer ${KEY}" }',
      '    policies: { retry: { backoff: { max: 1500ms } } }',
    );
    expect(print(yaml, { env: { KEY: 'sk' } })).toBe(
      [
        'server:',
        '  listen: 127.0.0.1:8080',
        '  maxBody: 10MiB',
        'upstreams:',
        '  openai:',
        '    route: /openai',
        '    dialect: generic',
        '    endpoints:',
        '      - url: https://api.example',
        '    credentials:',
        '      header: authorization',
        '      value: Bearer ${KEY}',
        '    policies:',
        '      retry:',
        '        maxRetries: 2',
        '        backoff:',
        '          initial: 250ms',
        '          max: 1500ms',
        '        jitter: full',
        '',
      ].join('\n'),
    );
  });

  it('names the origin of every value on request', () => {
    const base = [
      'defaults: { dialect: openai }',
      openai('    policies: { retry: { maxRetries: 1, retryOn: [502, 503] } }'),
    ].join('\n');
    const given = { env: { OUTRIGGER__SERVER__LISTEN: 'x' }, sets: ['server.maxBody=1MiB'] };
    expect(
      print([base, 'upstreams: { openai: { policies: { retry: { jitter: none } } } }'], given, true),
    ).toBe(
      [
        'server:',
        '  listen: x # env OUTRIGGER__SERVER__LISTEN',
        '  maxBody: 1MiB # --set server.maxBody',
        'upstreams:',
        '  openai:',
        '    route: /openai # a.yaml:4:12',
        '    dialect: openai # defaults a.yaml:1:22',
        '    endpoints:',
        '      - url: https://api.example # a.yaml:5:24',
        '    policies:',
        '      retry:',
        '        maxRetries: 1 # a.yaml:6:38',
        '        backoff:',
        '          initial: 250ms # default',
        '          max: 8s # default',
        '        retryOn: # a.yaml:6:50',
        '          - 502',
        '          - 503',
        '        jitter: none # b.yaml:1:53',
        '',
      ].join('\n'),
    );
  });

  it('hides literal secrets and credentials in URLs', () => {
    const yaml =
      openai('    credentials: { value: sk-secret }').replace('https://api', 'https://me:pw@api') +
      'store: { type: redis, url: "redis://x" }';
    const text = print(yaml);
    expect(text).toContain('value: ***'.replace('***', "'***'"));
    expect(text).toContain('url: https://***@api.example');
    expect(text).toMatch(/type: redis\n {2}url: '\*\*\*'/);
  });

  it('hides a default of a secret field', () => {
    expect(print(openai('    credentials: { value: "${KEY:-sk-default}" }'))).toContain('value: ${KEY:-***}');
  });

  it('gives a configuration that means the same, apart from what is hidden', () => {
    const yaml = openai(
      '    headers: { a: "$$x", b: "$${HOME}", c: "${HOME}", d: "12", e: "yes: # no", f: "$y" }',
      '    anything: { list: [], map: {}, nothing: null, text: "a\\nb", number: 1.5 }',
      '    policies: { retry: false, deadline: { after: 90s }, fallback: [{ cache: stale }, { upstream: b }] }',
    );
    const env = { HOME: '/root' };
    const before = loaded(yaml, { env });
    const after = loaded(printConfig(sampleSchema, before, { origins: true }), { env });
    expect(after.config).toEqual(before.config);
    expect(after.hash).toBe(before.hash);
  });

  it('keeps comments apart from texts of several lines', () => {
    const text = print(openai('    anything: "a # b\\nc\\n"'), {}, true);
    expect(text).toContain('    anything: | # a.yaml:5:15\n      a # b\n      c\n');
  });
});

describe('effective values', () => {
  const result = loaded(
    openai(
      '    credentials: { value: sk-secret }',
      '    policies: { retry: { maxRetries: "${N}", retryOn: [502, 503] }, fallback: [{ cache: stale }] }',
    ),
    { env: { N: '4', OUTRIGGER__UPSTREAMS__OPENAI__DIALECT: 'openai' } },
  );
  const lines = (prefix: readonly (string | number)[]): readonly string[] =>
    effectiveValues(sampleSchema, result, prefix).map(
      ({ path, value, origin }) => `${path} = ${value} (${formatOrigin(origin)})`,
    );

  it('list what is under a prefix, with paths and origins', () => {
    expect(lines(['upstreams', 'openai', 'policies'])).toEqual([
      'upstreams.openai.policies.retry.maxRetries = ${N} (a.yaml:6:38)',
      'upstreams.openai.policies.retry.backoff.initial = 250ms (default)',
      'upstreams.openai.policies.retry.backoff.max = 8s (default)',
      'upstreams.openai.policies.retry.retryOn = [502, 503] (a.yaml:6:55)',
      'upstreams.openai.policies.retry.jitter = full (default)',
      'upstreams.openai.policies.fallback[0].cache = stale (a.yaml:6:89)',
    ]);
  });

  it('list everything for the empty prefix, secrets hidden', () => {
    expect(lines([])).toContain("upstreams.openai.credentials.value = '***' (a.yaml:5:27)");
    expect(lines([])).toContain(
      'upstreams.openai.dialect = openai (env OUTRIGGER__UPSTREAMS__OPENAI__DIALECT)',
    );
  });

  it('list nothing where there is nothing', () => {
    expect(lines(['upstreams', 'azure'])).toEqual([]);
  });

  it('tell list entries apart when one has another origin', () => {
    const given = { env: { OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY__RETRY_ON__1: '504' } };
    const mixed = loaded(openai('    policies: { retry: { retryOn: [502, 503] } }'), given);
    const path = ['upstreams', 'openai', 'policies', 'retry', 'retryOn'];
    expect(
      effectiveValues(sampleSchema, mixed, path).map(({ path: at, value }) => `${at} = ${value}`),
    ).toEqual([
      'upstreams.openai.policies.retry.retryOn[0] = 502',
      'upstreams.openai.policies.retry.retryOn[1] = 504',
    ]);
  });
});

describe('the hash', () => {
  it('depends on what is in effect, not on how it is written', () => {
    const one = loaded('server: { listen: a, verbose: true }').hash;
    expect(one).toMatch(/^[0-9a-f]{12}$/);
    expect(loaded('# comment\nserver:\n  verbose: true\n  listen: "${A}"', { env: { A: 'a' } }).hash).toBe(
      one,
    );
    expect(loaded('server: { listen: a, verbose: true, maxBody: 10240KiB }').hash).toBe(one);
    expect(loaded('server: { listen: a, verbose: false }').hash).not.toBe(one);
  });

  it('changes with a secret', () => {
    const yaml = openai('    credentials: { value: "${KEY}" }');
    expect(loaded(yaml, { env: { KEY: 'a' } }).hash).not.toBe(loaded(yaml, { env: { KEY: 'b' } }).hash);
  });
});

describe('a refused configuration', () => {
  it('has problems and no configuration', () => {
    expect(load('server: 5')).toMatchObject({ ok: false, files: [] });
  });
});
