import { describe, expect, it } from 'vitest';
import { heads, loaded, openai } from './sample-schema.ts';

const withEnv = (env: Record<string, string>, yaml = openai()) => loaded(yaml, { env }).config;
const withSets = (sets: readonly string[], yaml = openai()) => loaded(yaml, { sets }).config;

describe('environment overrides', () => {
  it('reach a nested key, creating the maps on the way', () => {
    const config = withEnv({ OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY__MAX_RETRIES: '7' });
    expect(config.upstreams['openai']?.policies.retry).toMatchObject({ maxRetries: 7 });
  });

  it.each(['MAX_RETRIES', 'MAXRETRIES', 'maxRetries', 'max-retries'])('take %s for maxRetries', (segment) => {
    const config = withEnv({ [`OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY__${segment}`]: '7' });
    expect(config.upstreams['openai']?.policies.retry).toMatchObject({ maxRetries: 7 });
  });

  it('find names with dashes and underscores as they are written in the file', () => {
    const yaml = openai().replace('openai:', 'my-open_ai:');
    const config = withEnv({ OUTRIGGER__UPSTREAMS__MY_OPEN_AI__DIALECT: 'openai' }, yaml);
    expect(config.upstreams['my-open_ai']?.dialect).toBe('openai');
  });

  it('turn a policy off, and give a policy that is off its settings', () => {
    const off = withEnv({ OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY: 'false' });
    expect(off.upstreams['openai']?.policies.retry).toBe(false);
    const env = { OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY__MAX_RETRIES: '4' };
    const on = withEnv(env, openai('    policies: { retry: false }'));
    expect(on.upstreams['openai']?.policies.retry).toMatchObject({ maxRetries: 4 });
  });

  it('take maps and lists in flow style, merged like any layer', () => {
    const yaml = openai('    policies: { retry: { jitter: none, retryOn: [500] } }');
    const config = withEnv(
      { OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY: '{ maxRetries: 4, retryOn: [502, 503] }' },
      yaml,
    );
    expect(config.upstreams['openai']?.policies.retry).toMatchObject({
      maxRetries: 4,
      jitter: 'none',
      retryOn: [502, 503],
    });
  });

  it('reach list entries by number, and append one right behind the last', () => {
    const yaml = openai('    policies: { retry: { retryOn: [500, 502] } }');
    const prefix = 'OUTRIGGER__UPSTREAMS__OPENAI';
    const config = withEnv(
      {
        [`${prefix}__POLICIES__RETRY__RETRY_ON__1`]: '503',
        [`${prefix}__POLICIES__RETRY__RETRY_ON__2`]: '504',
        [`${prefix}__ENDPOINTS__0__URL`]: 'https://other',
        [`${prefix}__ENDPOINTS__1`]: '{ url: "https://second" }',
      },
      yaml,
    );
    expect(config.upstreams['openai']?.policies.retry).toMatchObject({ retryOn: [500, 503, 504] });
    expect(config.upstreams['openai']?.endpoints).toEqual([
      { url: 'https://other' },
      { url: 'https://second' },
    ]);
  });

  it('start a list where the file has none', () => {
    const config = withEnv({ OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY__RETRY_ON__0: '503' });
    expect(config.upstreams['openai']?.policies.retry).toMatchObject({ retryOn: [503] });
  });

  it('apply a section before what is in it', () => {
    const config = withEnv({
      OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY__MAX_RETRIES: '9',
      OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY: '{ maxRetries: 1, jitter: none }',
    });
    expect(config.upstreams['openai']?.policies.retry).toMatchObject({ maxRetries: 9, jitter: 'none' });
  });

  it.each([
    '12345',
    'true',
    '[abc',
    '{x',
    'a: b',
    '# no comment',
    ' padded ',
    "it's",
    '*alias',
    '${NOT_A_REFERENCE}',
    '$$',
  ])('take %j as it is where a string is expected', (value) => {
    const yaml = openai('    credentials: { value: x }');
    const config = withEnv({ OUTRIGGER__UPSTREAMS__OPENAI__CREDENTIALS__VALUE: value }, yaml);
    expect(config.upstreams['openai']?.credentials?.value).toBe(value);
  });

  it('take off quotes', () => {
    expect(withEnv({ OUTRIGGER__SERVER__LISTEN: '""' }).server.listen).toBe('');
    expect(withEnv({ OUTRIGGER__SERVER__LISTEN: "'a b'" }).server.listen).toBe('a b');
  });

  it('delete with null, and do nothing when empty', () => {
    const yaml = openai('    dialect: openai');
    expect(
      withEnv({ OUTRIGGER__UPSTREAMS__OPENAI__DIALECT: 'null' }, yaml).upstreams['openai']?.dialect,
    ).toBe('generic');
    expect(withEnv({ OUTRIGGER__UPSTREAMS__OPENAI__DIALECT: '' }, yaml).upstreams['openai']?.dialect).toBe(
      'openai',
    );
  });

  it('reach the defaults of all upstreams', () => {
    const config = withEnv({ OUTRIGGER__DEFAULTS__POLICIES__RETRY__MAX_RETRIES: '6' });
    expect(config.upstreams['openai']?.policies.retry).toMatchObject({ maxRetries: 6 });
  });

  it('leave other variables alone', () => {
    expect(withEnv({ OUTRIGGER_LOG: 'x', OUTRIGGER: 'y', outrigger__server: 'z' }).server.listen).toBe(
      '127.0.0.1:8080',
    );
  });

  it.each([
    ['OUTRIGGER__SEVER__LISTEN', 'there is no "SEVER" here; did you mean "SERVER"?'],
    ['OUTRIGGER__UPSTREAMS__OPENIA__ROUTE', 'upstreams: there is no "OPENIA" here; did you mean "OPENAI"?'],
    [
      'OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY__MAX_RETRY',
      'upstreams.openai.policies.retry: there is no "MAX_RETRY" here; did you mean "MAX_RETRIES"?',
    ],
    ['OUTRIGGER__SERVER__LISTEN__PORT', 'server.listen: there is no "PORT" here'],
    [
      'OUTRIGGER__UPSTREAMS__OPENAI__ENDPOINTS__URL',
      'upstreams.openai.endpoints: expected the number of a list entry, got "URL"',
    ],
    [
      'OUTRIGGER__UPSTREAMS__OPENAI__ENDPOINTS__5__URL',
      'upstreams.openai.endpoints: the list has 1 entries, so 5 is beyond its end',
    ],
    ['OUTRIGGER__', 'there is no "" here'],
  ])('refuse %s by its name', (name, reason) => {
    expect(heads(openai(), { env: { [name]: '1' } })).toEqual([`env ${name}: ${reason}`]);
  });

  it('refuse a segment that may mean two keys', () => {
    const yaml = `${openai()}  open-ai: { route: /b, endpoints: [{ url: "https://b" }] }\n`.replace(
      'openai:',
      'open_ai:',
    );
    expect(heads(yaml, { env: { OUTRIGGER__UPSTREAMS__OPENAI__ROUTE: '/x' } })).toEqual([
      'env OUTRIGGER__UPSTREAMS__OPENAI__ROUTE: upstreams: "OPENAI" may mean open_ai or open-ai',
    ]);
  });

  it('refuse structured values that do not parse', () => {
    expect(
      heads(openai(), { env: { OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY: '{ maxRetries: ' } }),
    ).toEqual([
      'env OUTRIGGER__UPSTREAMS__OPENAI__POLICIES__RETRY: upstreams.openai.policies.retry: the value is not valid YAML',
    ]);
  });
});

describe('--set', () => {
  it('wins over the environment, the last one over those before', () => {
    const config = loaded(openai(), {
      env: { OUTRIGGER__SERVER__LISTEN: 'env' },
      sets: ['server.listen=one', 'server.listen=two'],
    }).config;
    expect(config.server.listen).toBe('two');
  });

  it('takes everything behind the first equals sign', () => {
    expect(withSets(['server.listen=a=b=c']).server.listen).toBe('a=b=c');
  });

  it('adds names where names are free, exactly as written', () => {
    const config = withSets([
      'upstreams.azure.route=/azure',
      'upstreams.azure.endpoints[0].url=https://azure',
      'upstreams.azure.headers.X-Team=ai',
    ]);
    expect(config.upstreams['azure']).toMatchObject({
      route: '/azure',
      endpoints: [{ url: 'https://azure' }],
      headers: { 'X-Team': 'ai' },
    });
  });

  it('takes quoted names and both ways to write an index', () => {
    const yaml = openai().replace('openai:', 'gpt-4.1:');
    const config = withSets(
      ['upstreams."gpt-4.1".endpoints.0.weight=1', 'upstreams."gpt-4.1".route=/x'],
      yaml,
    );
    expect(config.upstreams['gpt-4.1']).toMatchObject({ route: '/x', endpoints: [{ weight: 1 }] });
  });

  it.each(['server', '=x', 'server..listen=x', ''])('refuses %j without repeating it', (set) => {
    expect(heads(openai(), { sets: [set] })).toEqual(['--set: expected --set path=value']);
  });

  it('suggests the key that was meant', () => {
    expect(heads(openai(), { sets: ['upstreams.openai.policys.retry=false'] })).toEqual([
      '--set upstreams.openai.policys.retry: upstreams.openai: there is no "policys" here; did you mean "policies"?',
    ]);
  });

  it('cannot poison objects', () => {
    expect(heads(openai(), { sets: ['upstreams.__proto__.route=/x'] })[0]).toContain(
      'there is no "__proto__" here',
    );
    expect(({} as Record<string, unknown>)['route']).toBeUndefined();
  });
});
