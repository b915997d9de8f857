/** The attack: a secret in the configuration leaks through the very tools that explain the configuration. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { effectiveValues, printConfig } from '../../src/config/print.ts';
import { formatProblems } from '../../src/config/problem.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { load, openai, sampleSchema } from './sample-schema.ts';
import type { Given } from './sample-schema.ts';

const directory = mkdtempSync(join(tmpdir(), 'config-secrets-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Everything that is ever shown about a configuration, valid or not. */
function shown(texts: string | readonly string[], given: Given = {}): string {
  const result = load(texts, given);
  if (!result.ok)
    return (['text', 'json', 'github'] as const)
      .map((format) => formatProblems(result.problems, format))
      .join('\n');
  return [
    printConfig(sampleSchema, result.loaded, { origins: false }),
    printConfig(sampleSchema, result.loaded, { origins: true }),
    JSON.stringify(effectiveValues(sampleSchema, result.loaded, [])),
    formatProblems(result.loaded.warnings, 'text'),
  ].join('\n');
}

const secretText = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9]{10,30}$/),
  fc.stringMatching(/^sk-[A-Za-z0-9_-]{10,40}$/),
  fc.stringMatching(/^[1-9][0-9]{9,15}$/),
  fc.stringMatching(/^[A-Za-z0-9]{6}[!-~]{4,20}$/),
);

/** Lines inside an upstream that make it wrong, next to the secret or away from it; one leaves it valid. */
const mistake = fc.constantFrom(
  [],
  ['    dialect: wrong'],
  ['    policies: { retry: true }'],
  ['    unknown: { a: 1 }'],
  ['    policies: { retry: { maxRetries: "${NONE}" } }'],
  ['    dialect: [', '    policies: {}'],
  ['    dialect: "x'],
  ['   bad indentation: 1'],
);

/** Where a secret may stand; `S` is the secret as YAML text. */
const literalPlace = fc.constantFrom(
  '    credentials: { value: S }',
  '    credentials: { header: "a b", value: S }',
  '    credentials: { header: 5, value: S, other: 1 }',
  '    credentials: { valu: S }',
  '    credentials: S',
  '    credentials: [S]',
  '    credentials: { value: { nested: S } }',
  '    credentials: { value: [S, 5] }',
  '    credentials: { Value: S, header: authorization }',
  '    credentials:\n      value: S',
  '    credentials:\n      header: [\n      value: S',
  '    credentials:\n      value: S: x',
  '    credentials:\n      apiKey: S',
  '    credential: { value: S }',
  '    x-keys: { value: &k S }\n    credentials: { value: *k }',
  '    credentials: &c { value: S }\n    other: *c',
  '    credentials: { <<: { value: S }, header: 7 }',
);

describe('secrets', () => {
  it('written literally are never shown, whatever else is wrong', () => {
    fc.assert(
      fc.property(
        secretText,
        literalPlace,
        mistake,
        fc.boolean(),
        fc.boolean(),
        (secret, place, lines, after, bare) => {
          const own = place.replace('S', () => (bare ? secret : JSON.stringify(secret)));
          const output = shown(openai(...(after ? [...lines, own] : [own, ...lines])));
          expect(output).not.toContain(secret);
          expect(output).not.toContain(JSON.stringify(secret).slice(1, -1));
        },
      ),
      { numRuns: 600 },
    );
  });

  it('in a block scalar are never shown, also when the text does not parse', () => {
    const yaml = openai(
      '    credentials:',
      '      value: |',
      '        sk-first-line',
      '       sk-second-line',
      '    dialect: x',
    );
    expect(shown(yaml)).not.toMatch(/sk-(first|second)-line/);
    const valid = openai('    credentials:', '      header: a b', '      value: |-', '        sk-first-line');
    expect(shown(valid)).not.toContain('sk-first-line');
  });

  it('of a layer that was overridden are never shown', () => {
    const base = openai('    credentials: { value: sk-old-secret, header: 5 }');
    expect(
      shown([base, 'upstreams: { openai: { credentials: { value: sk-new-secret }, dialect: x } }']),
    ).not.toMatch(/sk-(old|new)-secret/);
    expect(shown([base, 'a: [']).includes('sk-old-secret')).toBe(false);
  });

  it('in the defaults section are never shown', () => {
    expect(
      shown(`defaults: { credentials: { value: sk-default, header: 5 }, dialect: x }\n${openai()}`),
    ).not.toContain('sk-default');
    expect(shown('defaults: { credentials: { value: sk-default, header: 5 } }')).not.toContain('sk-default');
  });

  it('in an override are never shown', () => {
    const env = { OUTRIGGER__UPSTREAMS__OPENAI__CREDENTIALS__VALUE: 'sk-from-env' };
    const sets = [
      'upstreams.openai.credentials.value=sk-from-flag\u0000',
      'upstreams.openai.credentials=sk-from-flag',
      'sk-from-flag',
    ];
    expect(shown(openai(), { env })).not.toContain('sk-from-env');
    expect(shown(openai('    dialect: x'), { env, sets })).not.toMatch(/sk-from-(env|flag)/);
  });

  it('are shown by their template, literal parts hidden', () => {
    const env = { KEY: 'sk-from-env', PART: 'other-part' };
    expect(shown(openai('    credentials: { value: "Bearer ${KEY}" }'), { env })).toContain(
      'value: Bearer ${KEY}',
    );
    const output = shown(openai('    credentials: { value: "literal-${KEY:-sk-fallback}" }'), { env });
    expect(output).toContain('***${KEY:-***}');
    expect(output).not.toMatch(/literal-|sk-fallback|sk-from-env/);
  });
});

describe('interpolated values', () => {
  const place = fc.constantFrom(
    '    route: /${V}',
    '    dialect: ${V}',
    '    headers: { x-team: "${V}", "b a d": "${V}" }',
    '    credentials: { value: "Bearer ${V}" }',
    '    credentials: { header: "${V}\\n", value: "${V}" }',
    '    policies: { retry: { maxRetries: "${V}" } }',
    '    policies: { retry: "${V}" }',
    '    policies: { retry: { retryOn: ["${V}", 1.5] } }',
    '    policies: { retry: { backoff: { max: "${V}s" } } }',
    '    policies: { deadline: { after: "${V:-5s}" }, fallback: ["${V}", { cache: "${V}" }, { upstream: "${V}" }] }',
    '    anything: { deep: ["${V}", { deeper: "x${V}y" }] }',
    '    unknown: "${V}"',
    '    policies: { fallback: [{ upstream: "${NONE:-${V}}" }] }',
  );

  it('are never shown, whether they fit or not', () => {
    fc.assert(
      fc.property(secretText, place, mistake, fc.boolean(), (value, line, lines, fromFile) => {
        const path = join(directory, 'value');
        writeFileSync(path, value);
        const yaml = openai(...lines, fromFile ? line.replaceAll('${V}', `\${file:${path}}`) : line).replace(
          line.includes('route:') ? '    route: /openai\n' : '\0',
          '',
        );
        const check = () => [{ path: ['upstreams'], message: `expected something else, got ${value}` }];
        expect(shown(yaml, { env: { V: value } })).not.toContain(value);
        expect(shown(yaml, { env: { V: value }, check })).not.toContain(value);
      }),
      { numRuns: 400 },
    );
  });

  it('stay hidden when the schema itself throws', () => {
    const check = (): never => {
      throw new Error('cannot use sk-from-env');
    };
    expect(
      shown(openai('    credentials: { value: "${KEY}" }'), { env: { KEY: 'sk-from-env' }, check }),
    ).not.toContain('sk-from-env');
  });

  it('do not garble the words of other problems', () => {
    const env = { ON: 'true', WORD: 'number' };
    const output = shown(
      openai('    policies: { retry: { maxRetries: x } }', '    headers: { a: "${WORD}" }') +
        'server: { verbose: "${ON}", listen: 5 }',
      { env },
    );
    expect(output).toContain('expected a number, got "x"');
  });
});

describe('credentials inside other values', () => {
  it.each([
    ['https://user:hunter2@host/path', 'https://***@host/path'],
    ['https://hunter2@host', 'https://***@host'],
    ['redis://:hunter2@host:6379/0', 'redis://***@host:6379/0'],
    ['https://user:hunter2/with#odd?signs@host', 'https://***@host'],
    ['https://host/?api_key=hunter2&x=1', 'https://host/?api_key=***&x=1'],
    ['https://host/?x=1&access_token=hunter2', 'https://host/?x=1&access_token=***'],
    ['Bearer hunter2', 'Bearer ***'],
  ])('are hidden in %s', (value, expected) => {
    const valid = shown(`server: { listen: ${JSON.stringify(value)} }`);
    expect(valid).toContain(expected);
    expect(valid).not.toContain('hunter2');
    const invalid = shown(`server: { listen: 5, verbose: ${JSON.stringify(value)} }`);
    expect(invalid).toContain(expected);
    expect(invalid).not.toContain('hunter2');
  });

  it.each(['https://host:8080/a?b=c', 'https://host/users/@me', 'host:8080', 'a@b', 'monkey=1'])(
    'leave %s alone',
    (value) => {
      expect(shown(`server: { listen: ${JSON.stringify(value)} }`)).toContain(value);
    },
  );

  it('are searched for in linear time', () => {
    for (const unit of ['a', '://', 'a://b:', '?key', 'bearer ', 'https://a:b']) {
      const long = JSON.stringify(unit.repeat(900_000 / unit.length));
      const spent = cpuMs(() => {
        shown(`server: { listen: ${long}, verbose: 5 }`);
        shown(`server: { listen: ${long} }`);
      });
      expect(spent).toBeLessThan(5_000);
    }
  });
});
