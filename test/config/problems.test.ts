import { describe, expect, it } from 'vitest';
import { formatProblems } from '../../src/config/problem.ts';
import { heads, loaded, openai, problems } from './sample-schema.ts';

const text = (...args: Parameters<typeof problems>): string => formatProblems(problems(...args), 'text');

describe('problems: words and positions', () => {
  it.each([
    [
      'an unknown key with its likely name',
      openai('    polices: {}'),
      'a.yaml:5:5: upstreams.openai.polices: expected a known key, got "polices"; did you mean "policies"?',
    ],
    [
      'a key in another spelling',
      openai('    policies: { retry: { max_retries: 1 } }'),
      'a.yaml:5:26: upstreams.openai.policies.retry.max_retries: expected a known key, got "max_retries"; did you mean "maxRetries"?',
    ],
    [
      'an unknown key that resembles none, with those that are known',
      'sever: {}\nelephant: 1\n' + openai(),
      'a.yaml:2:1: elephant: expected a known key, got "elephant"; known here: server, store, upstreams, defaults',
    ],
    [
      'a value of the wrong type',
      openai('    policies: { retry: { maxRetries: many } }'),
      'a.yaml:5:38: upstreams.openai.policies.retry.maxRetries: expected a number, got "many"',
    ],
    [
      'a number in quotes',
      openai('    policies: { retry: { maxRetries: "3" } }'),
      'a.yaml:5:38: upstreams.openai.policies.retry.maxRetries: expected a number, got "3" in quotes',
    ],
    [
      'a number where text is expected',
      'server:\n  listen: 8080',
      'a.yaml:2:11: server.listen: expected a string, got 8080; put it in quotes',
    ],
    [
      'a fraction where a whole number is expected',
      openai('    policies: { retry: { maxRetries: 1.5 } }'),
      'a.yaml:5:38: upstreams.openai.policies.retry.maxRetries: expected a whole number, got 1.5',
    ],
    [
      'a number out of range',
      openai('    policies: { retry: { budget: { ratio: 1.2 } } }'),
      'a.yaml:5:43: upstreams.openai.policies.retry.budget.ratio: expected a number of at most 1, got 1.2',
    ],
    [
      'a duration without its unit, in the words of the duration',
      openai('    policies: { retry: { backoff: { max: 8 } } }'),
      'a.yaml:5:42: upstreams.openai.policies.retry.backoff.max: expected a duration such as "250ms", "30s" or "5m", got 8',
    ],
    [
      'a duration in a wrong unit',
      openai('    policies: { retry: { backoff: { max: 8 seconds } } }'),
      'a.yaml:5:42: upstreams.openai.policies.retry.backoff.max: expected a duration such as "250ms", "30s" or "5m", got "8 seconds"',
    ],
    [
      'a duration that is too long for timers',
      openai('    policies: { retry: { backoff: { max: 999h } } }'),
      'a.yaml:5:42: upstreams.openai.policies.retry.backoff.max: expected a duration of at most 24 days, got "999h"',
    ],
    [
      'a mistyped choice',
      openai('    dialect: opnai'),
      'a.yaml:5:14: upstreams.openai.dialect: expected "generic", "openai" or "anthropic", got "opnai"; did you mean "openai"?',
    ],
    [
      'a text that breaks its pattern',
      openai().replace('/openai', 'openai'),
      'a.yaml:3:12: upstreams.openai.route: expected a path that starts with "/", got "openai"',
    ],
    [
      'a bad URL',
      openai().replace('https://api.example', 'api'),
      'a.yaml:4:24: upstreams.openai.endpoints[0].url: expected a URL, got "api"',
    ],
    [
      'a list that is too short',
      openai().replace(/\[.*\]/, '[]'),
      'a.yaml:4:16: upstreams.openai.endpoints: expected at least 1 entry, got an empty list',
    ],
    [
      'a missing key, at the map that lacks it',
      'upstreams:\n  openai:\n    endpoints: [{ url: "https://x" }]',
      'a.yaml:2:3: upstreams.openai.route: expected a path that starts with "/", got nothing; the key is required',
    ],
    [
      'a missing key of a list entry, at the entry',
      openai().replace(/\[.*\]/, '[{ weight: 1 }]'),
      'a.yaml:4:17: upstreams.openai.endpoints[0].url: expected a string, got nothing; the key is required',
    ],
    [
      'a default that does not go with what is written',
      openai('    policies: { retry: { backoff: { max: 1ms } } }'),
      'a.yaml:5:26: upstreams.openai.policies.retry.backoff.initial: expected at most max, got the default',
    ],
    [
      'an empty value',
      openai('    policies:'),
      'a.yaml:5:5: upstreams.openai.policies: expected a map, got nothing (null)',
    ],
    [
      'a map where a list is expected',
      openai().replace(/\[.*\]/, '{ url: x }'),
      'a.yaml:4:16: upstreams.openai.endpoints: expected a list, got a map',
    ],
    [
      'a name that is not allowed',
      openai().replace('openai:', 'OpenAI:'),
      'a.yaml:2:3: upstreams.OpenAI: expected a lower-case name as key, got "OpenAI"',
    ],
  ])('tells %s', (_what, yaml, expected) => {
    expect(heads(yaml)).toContain(expected);
  });

  it('tells every problem at once, in the order of the file', () => {
    const yaml = openai(
      '    dialect: x',
      '    policies: { retry: { maxRetries: x, jitter: 1 }, deadline: 5, other: 1 }',
    );
    expect(problems(yaml).map(({ line, column }) => `${line}:${column}`)).toEqual([
      '5:14',
      '6:38',
      '6:49',
      '6:64',
      '6:67',
    ]);
  });

  it('stops after a hundred problems', () => {
    const keys = Array.from({ length: 5_000 }, (_, i) => `key${i}: 1`);
    expect(problems(keys.join('\n'))).toHaveLength(100);
  });

  it('tells what is wrong in several files, also when some do not parse', () => {
    expect(heads(['a: [', 'b: "'])).toEqual([
      'a.yaml:1:5: unexpected end of the stream within a flow collection',
      'b.yaml:1:5: unexpected end of the stream within a double quoted scalar',
    ]);
  });

  it('tells faults of the text and of the schema together', () => {
    expect(heads('server: { listen: 5 }\nserver: {}')).toEqual([
      'a.yaml:1:19: server.listen: expected a string, got 5; put it in quotes',
      'a.yaml:2:1: server: duplicate key: it is already given in line 1',
    ]);
  });
});

describe('problems: unions', () => {
  const policy = (yaml: string): readonly string[] =>
    heads(openai(`    policies: { ${yaml} }`)).map((head) => head.replace('upstreams.openai.policies.', ''));

  it('names all forms when none fits', () => {
    expect(policy('retry: true')).toEqual(['a.yaml:5:24: retry: expected false or a map, got true']);
    expect(policy('fallback: [5]')).toEqual(['a.yaml:5:28: fallback[0]: expected a map, got 5']);
  });

  it('looks inside the form that was meant', () => {
    expect(policy('retry: { backoff: { initial: 5 }, maxRetry: 1 }')).toEqual([
      'a.yaml:5:46: retry.backoff.initial: expected a duration such as "250ms", "30s" or "5m", got 5',
      'a.yaml:5:51: retry.maxRetry: expected a known key, got "maxRetry"; did you mean "maxRetries"?',
    ]);
    expect(policy('fallback: [{ static: { status: 700, body: x } }]')).toEqual([
      'a.yaml:5:48: fallback[0].static.status: expected a number of at most 599, got 700',
    ]);
    expect(policy('fallback: [{ cache: fresh }]')).toEqual([
      'a.yaml:5:37: fallback[0].cache: expected "stale", got "fresh"',
    ]);
  });

  it('suggests a key when no form knows the one given', () => {
    expect(policy('fallback: [{ statik: {} }]')).toEqual([
      'a.yaml:5:30: fallback[0].statik: expected a known key, got "statik"; did you mean "static"?',
    ]);
  });

  it('names the keys that would decide when none is given', () => {
    expect(policy('fallback: [{}]')).toEqual([
      'a.yaml:5:28: fallback[0]: expected one of the keys upstream, cache or static, got an empty map',
    ]);
  });

  it('tells keys apart that exclude each other', () => {
    expect(policy('fallback: [{ upstream: a, cache: stale }]').join()).toContain(
      'alone, got it together with',
    );
  });

  it('names the known kinds of a discriminated union, and the keys of the kind given', () => {
    expect(heads('store: { type: redys }')).toEqual([
      'a.yaml:1:16: store.type: expected "memory" or "redis", got "redys"; did you mean "redis"?',
    ]);
    expect(heads('store: { type: redis }')).toEqual([
      'a.yaml:1:1: store.url: expected a string, got nothing; the key is required',
    ]);
    expect(heads('store: { type: memory, size: 1 }')[0]).toContain('store.size: expected a known key');
  });
});

describe('problems: places that may hold a misplaced secret', () => {
  it('hide what they got, unless it cannot be one', () => {
    expect(heads(openai('    credentials: sk-123456'))).toEqual([
      'a.yaml:5:18: upstreams.openai.credentials: expected a map, got a string (***)',
    ]);
    expect(heads(openai('    credentials: 5000000000'))[0]).toContain('got a number (***)');
    expect(heads(openai('    credentials: true'))[0]).toContain('got true');
    expect(heads(openai('    credentials: { value: true }'))[0]).toContain('got true or false (***)');
  });
});

describe('problems: formats', () => {
  it('shows the line and a caret under the value', () => {
    expect(text('server:\n  verbose: "no"\n')).toBe(
      [
        'a.yaml:2:12: server.verbose: expected true or false, got "no"',
        '  2 |   verbose: "no"',
        '    |            ^',
      ].join('\n'),
    );
  });

  it('keeps the caret in place behind tabs, wide characters and combining marks', () => {
    const [, , caret] = text('server: { listen: "宽e\u0301\t", verbose: 5 }').split('\n');
    // The tab stays a tab, the wide character takes two columns, the accent none.
    expect(caret).toBe(
      `    | ${' '.repeat('server: { listen: "__e'.length)}\t${' '.repeat('", verbose: '.length)}^`,
    );
  });

  it('counts columns in characters, as people do', () => {
    expect(problems('server: { "😀": 1 }')[0]).toMatchObject({ line: 1, column: 11 });
    expect(problems('server: { listen: "😀😀", verbose: 5 }')[0]).toMatchObject({ line: 1, column: 34 });
  });

  it('shows a window of a long line', () => {
    const [problem] = problems(
      `server: { listen: "${'x'.repeat(5_000)}", verbose: 5, maxBody: "${'y'.repeat(5_000)}" }`,
    );
    expect(problem?.column).toBe(5_032);
    expect(problem?.sourceLine?.length).toBeLessThan(210);
    expect(problem?.sourceLine?.slice(problem.caret)).toMatch(/^5, maxBody/);
  });

  it('shows no control characters', () => {
    const shown = text('server: { listen: "\\e[31m", verbose: 5 } # \u202Eevil\n');
    expect(shown).not.toMatch(/[\u001b\u202e]/);
  });

  it('cuts long values', () => {
    expect(problems(`server: { verbose: ${'x'.repeat(500)} }`)[0]?.message.length).toBeLessThan(120);
  });

  it('writes JSON for programs', () => {
    expect(JSON.parse(formatProblems(problems('server: { verbose: 5 }'), 'json'))).toEqual([
      {
        severity: 'error',
        file: 'a.yaml',
        line: 1,
        column: 20,
        path: 'server.verbose',
        message: 'expected true or false, got 5',
        expected: 'true or false',
        got: '5',
      },
    ]);
  });

  it('writes annotations for GitHub, escaped', () => {
    const annotation = formatProblems(
      [{ severity: 'error', file: 'a,b:c.yaml', line: 3, column: 4, path: 'x', message: '100%\nsure' }],
      'github',
    );
    expect(annotation).toBe('::error file=a%2Cb%3Ac.yaml,line=3,col=4::x: 100%25%0Asure');
  });

  it('names the variable or the flag where there is no file', () => {
    const given = { env: { OUTRIGGER__SERVER__VERBOSE: '5' }, sets: ['server.maxBody=x'] };
    expect(heads(openai(), given)).toEqual([
      'env OUTRIGGER__SERVER__VERBOSE: server.verbose: expected true or false, got 5',
      '--set server.maxBody: server.maxBody: expected a size such as "512B", "64KiB" or "10MiB", got "x"',
    ]);
    expect(formatProblems(problems(openai(), given), 'github').split('\n')[0]).toBe(
      '::error title=env OUTRIGGER__SERVER__VERBOSE::server.verbose: expected true or false, got 5',
    );
  });
});

describe('problems: checks across fields', () => {
  it('are told at the place they name, once the schema is content', () => {
    const check = () => [{ path: ['upstreams', 'openai', 'route'], message: 'expected a route of its own' }];
    expect(heads(openai(), { check })).toEqual([
      'a.yaml:3:12: upstreams.openai.route: expected a route of its own',
    ]);
    expect(heads('server: 5', { check })).toHaveLength(1);
  });

  it('are told at the closest key when they name what is not written', () => {
    const check = () => [{ path: ['upstreams', 'openai', 'policies', 'retry'], message: 'no' }];
    expect(heads(openai(), { check })).toEqual(['a.yaml:2:3: upstreams.openai.policies.retry: no']);
  });

  it('are no obstacle when they only warn', () => {
    const check = () => [{ path: ['server'], message: 'hm', severity: 'warning' as const }];
    const { warnings } = loaded('server: {}', { check });
    expect(formatProblems(warnings, 'text')).toBe(
      'a.yaml:1:9: warning: server: hm\n  1 | server: {}\n    |         ^',
    );
  });

  it('are a problem, not a crash, when they throw', () => {
    const check = (): never => {
      throw new Error('boom');
    };
    expect(heads('server: {}', { check })).toEqual(['a.yaml:1:1: the configuration cannot be checked: boom']);
  });
});
