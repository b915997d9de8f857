import { describe, expect, it } from 'vitest';
import { heads, loaded, openai } from './sample-schema.ts';

const second = '  azure: { route: /azure, endpoints: [{ url: "https://azure" }] }\n';

describe('defaults', () => {
  it('lie below every upstream, deeply', () => {
    const yaml = `defaults: { dialect: anthropic, policies: { retry: { maxRetries: 5, jitter: none } } }\n${openai('    policies: { retry: { maxRetries: 1 } }')}${second}`;
    const { upstreams } = loaded(yaml).config;
    expect(upstreams['openai']).toMatchObject({
      dialect: 'anthropic',
      policies: { retry: { maxRetries: 1, jitter: 'none' } },
    });
    expect(upstreams['azure']).toMatchObject({
      dialect: 'anthropic',
      policies: { retry: { maxRetries: 5, jitter: 'none' } },
    });
  });

  it('give way to false, and false gives way to settings', () => {
    const on = `defaults: { policies: { retry: { maxRetries: 5 } } }\n${openai('    policies: { retry: false }')}`;
    expect(loaded(on).config.upstreams['openai']?.policies.retry).toBe(false);
    const off = `defaults: { policies: { retry: false } }\n${openai('    policies: { retry: { jitter: none } }')}${second}`;
    expect(loaded(off).config.upstreams['openai']?.policies.retry).toMatchObject({
      jitter: 'none',
      maxRetries: 2,
    });
    expect(loaded(off).config.upstreams['azure']?.policies.retry).toBe(false);
  });

  it('are taken away by null in an upstream', () => {
    const yaml = `defaults: { dialect: openai }\n${openai('    dialect: null')}`;
    expect(loaded(yaml).config.upstreams['openai']?.dialect).toBe('generic');
  });

  it('do not come back when a later layer deletes the setting of an upstream', () => {
    const yaml = `defaults: { dialect: openai }\n${openai('    dialect: anthropic')}`;
    const { upstreams } = loaded([yaml, 'upstreams: { openai: { dialect: null } }']).config;
    expect(upstreams['openai']?.dialect).toBe('generic');
  });

  it('merge across layers before they are spread', () => {
    const base = `defaults: { policies: { retry: { maxRetries: 5 } } }\n${openai()}`;
    const { upstreams } = loaded([base, 'defaults: { policies: { retry: { jitter: none } } }']).config;
    expect(upstreams['openai']?.policies.retry).toMatchObject({ maxRetries: 5, jitter: 'none' });
  });

  it('are no part of the result', () => {
    expect(loaded(`defaults: { dialect: openai }\n${openai()}`).config).not.toHaveProperty('defaults');
  });

  it('may be an empty section', () => {
    expect(loaded(`defaults:\n${openai()}`).config.upstreams).toHaveProperty('openai');
  });

  it('must be a map', () => {
    expect(heads(`defaults: [1]\n${openai()}`)).toEqual([
      'a.yaml:1:11: defaults: expected a map, got a list',
    ]);
  });

  it('are told once, where they are written, however many upstreams they reach', () => {
    const yaml = `defaults: { dialec: x, policies: { retry: { maxRetries: "\${NONE}", jitter: x } } }\n${openai()}${second}`;
    expect(heads(yaml)).toEqual([
      'a.yaml:1:13: defaults.dialec: expected a known key, got "dialec"; did you mean "dialect"?',
      'a.yaml:1:57: defaults.policies.retry.maxRetries: the environment variable NONE is not set and has no default (${NONE:-default})',
      'a.yaml:1:76: defaults.policies.retry.jitter: expected "full" or "none", got "x"',
    ]);
  });

  it('are told even when there is no upstream', () => {
    const yaml = 'defaults: { dialec: x, policies: { retry: { maxRetries: "${NONE}", jitter: x } } }';
    expect(heads(yaml).map((head) => head.split(': ')[1])).toEqual([
      'defaults.dialec',
      'defaults.policies.retry.maxRetries',
      'defaults.policies.retry.jitter',
    ]);
    expect(loaded('defaults: { dialect: openai }').config.upstreams).toEqual({});
  });

  it('leave a problem of the upstream at the upstream', () => {
    const yaml = `defaults: { policies: { retry: { maxRetries: 1 } } }\n${openai('    policies: { retry: { jitter: x } }')}`;
    expect(heads(yaml)).toEqual([
      'a.yaml:6:34: upstreams.openai.policies.retry.jitter: expected "full" or "none", got "x"',
    ]);
  });

  it('cannot multiply a small text into a huge configuration', () => {
    const wide = Array.from({ length: 5_000 }, (_, i) => `k${i}: 1`).join(', ');
    const many = Array.from({ length: 5_000 }, (_, i) => `u${i}: {}`).join(', ');
    expect(heads(`defaults: { ${wide} }\nupstreams: { ${many} }`)).toContain(
      'a.yaml:1:1: defaults: more than 200000 values once every upstream has the defaults',
    );
  });
});
