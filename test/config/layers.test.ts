import { describe, expect, it } from 'vitest';
import { originOf } from '../../src/config/origins.ts';
import { heads, loaded, openai } from './sample-schema.ts';
import type { Given } from './sample-schema.ts';

const upstream = (texts: readonly string[], given: Given = {}) =>
  loaded(texts, given).config.upstreams['openai'];

const inOpenai = (yaml: string): string => `upstreams: { openai: ${yaml} }`;

describe('layers: files', () => {
  it('merge maps deeply, later files winning', () => {
    const base = openai('    dialect: openai', '    policies: { retry: { maxRetries: 1, jitter: none } }');
    expect(upstream([base, inOpenai('{ policies: { retry: { maxRetries: 5 } } }')])).toMatchObject({
      dialect: 'openai',
      policies: { retry: { maxRetries: 5, jitter: 'none' } },
    });
  });

  it('replace lists', () => {
    const base = openai('    policies: { retry: { retryOn: [500, 502] } }');
    const retry = upstream([base, inOpenai('{ policies: { retry: { retryOn: [503] } } }')])?.policies.retry;
    expect(retry).toMatchObject({ retryOn: [503] });
  });

  it('merge lists by name when every entry on both sides has one', () => {
    const base = openai().replace(
      /\[.*\]/,
      '[{ name: a, url: "https://a", weight: 1 }, { name: b, url: "https://b" }]',
    );
    const over = inOpenai('{ endpoints: [{ name: c, url: "https://c" }, { name: a, weight: 9 }] }');
    expect(upstream([base, over])?.endpoints).toEqual([
      { name: 'a', url: 'https://a', weight: 9 },
      { name: 'b', url: 'https://b' },
      { name: 'c', url: 'https://c' },
    ]);
  });

  it.each([
    ['an entry has no name', '[{ name: a, url: "https://x" }, { url: "https://y" }]', 2],
    ['names repeat', '[{ name: a, url: "https://x" }, { name: a, url: "https://y" }]', 2],
    ['a name is a number', '[{ name: "1", url: "https://x" }]', 1],
  ])('replace a list of maps when %s', (_when, list, length) => {
    const base = openai().replace(
      /\[.*\]/,
      '[{ url: "https://a" }, { url: "https://b" }, { url: "https://c" }]',
    );
    expect(upstream([base, inOpenai(`{ endpoints: ${list} }`)])?.endpoints).toHaveLength(length);
  });

  it('let false replace a map and a map replace false', () => {
    const on = openai('    policies: { retry: { maxRetries: 5 } }');
    expect(upstream([on, inOpenai('{ policies: { retry: false } }')])?.policies.retry).toBe(false);
    const off = openai('    policies: { retry: false }');
    expect(
      upstream([off, inOpenai('{ policies: { retry: { maxRetries: 7 } } }')])?.policies.retry,
    ).toMatchObject({
      maxRetries: 7,
    });
  });

  it('let null delete what lies below, also where there is nothing', () => {
    const base = openai('    policies: { retry: { maxRetries: 5 } }');
    const over = inOpenai('{ policies: { retry: null, deadline: ~ } }');
    expect(upstream([base, over])?.policies).toEqual({
      retry: { maxRetries: 2, backoff: { initial: 250, max: 8_000 }, jitter: 'full' },
    });
    expect(loaded([openai(), 'upstreams: { openai: null }']).config.upstreams).toEqual({});
  });

  it('let a third file bring back what the second deleted', () => {
    const texts = [
      openai('    dialect: openai'),
      inOpenai('{ dialect: null }'),
      inOpenai('{ dialect: anthropic }'),
    ];
    expect(upstream(texts)?.dialect).toBe('anthropic');
  });

  it('do not let an empty value in the first file pass for a deletion', () => {
    expect(heads(openai('    dialect:'))).toHaveLength(1);
  });

  it('are told each in its own file', () => {
    const over = inOpenai('{ policies: { retry: { maxRetries: x } }, dialec: 1 }');
    expect(
      heads([openai('    policies: { retry: { jitter: x } }'), over]).map((head) => head.split(': ')[0]),
    ).toEqual(['a.yaml:5:34', 'b.yaml:1:57', 'b.yaml:1:64']);
  });
});

describe('layers: origins', () => {
  const base = [
    'defaults:',
    '  policies: { retry: { jitter: none } }',
    openai('    policies: { retry: { maxRetries: 1 } }'),
  ].join('\n');
  const all = loaded([base, inOpenai('{ dialect: openai }')], {
    env: { OUTRIGGER__SERVER__LISTEN: 'x' },
    sets: ['server.verbose=true'],
  });
  const retry = ['upstreams', 'openai', 'policies', 'retry'];

  it.each([
    [
      'the file that wrote it',
      [...retry, 'maxRetries'],
      { kind: 'file', file: 'a.yaml', line: 7, column: 38, viaDefaults: false },
    ],
    [
      'the later file',
      ['upstreams', 'openai', 'dialect'],
      { kind: 'file', file: 'b.yaml', line: 1, column: 33, viaDefaults: false },
    ],
    [
      'the defaults section',
      [...retry, 'jitter'],
      { kind: 'file', file: 'a.yaml', line: 2, column: 32, viaDefaults: true },
    ],
    ['the environment', ['server', 'listen'], { kind: 'env', name: 'OUTRIGGER__SERVER__LISTEN' }],
    ['a flag', ['server', 'verbose'], { kind: 'flag', text: '--set server.verbose' }],
    ['the schema', [...retry, 'backoff', 'max'], { kind: 'default' }],
    [
      'a list entry',
      ['upstreams', 'openai', 'endpoints', 0, 'url'],
      { kind: 'file', file: 'a.yaml', line: 6, column: 24, viaDefaults: false },
    ],
  ])('of a value name %s', (_what, path, origin) => {
    expect(originOf(all, path)).toEqual(origin);
  });
});

describe('layers: escape keys', () => {
  it('ignore x- keys wherever names are fixed', () => {
    const { config } = loaded(
      `x-anchors: { retry: &retry { maxRetries: 4 } }\n${openai('    x-owner: me', '    policies: { retry: *retry, x-why: { a: 1 } }')}`,
    );
    expect(config).not.toHaveProperty('x-anchors');
    expect(config.upstreams['openai']).not.toHaveProperty('x-owner');
    expect(config.upstreams['openai']?.policies.retry).toMatchObject({ maxRetries: 4 });
  });

  it('keep x- names where names are free', () => {
    const { config } = loaded(openai('    headers: { x-team: ai }').replace('openai:', 'x-ai:'));
    expect(config.upstreams['x-ai']?.headers).toEqual({ 'x-team': 'ai' });
  });
});
