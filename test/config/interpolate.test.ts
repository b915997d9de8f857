import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { escapeTemplate, parseTemplate } from '../../src/config/template.ts';
import { heads, load, loaded, openai, sampleSchema } from './sample-schema.ts';

const directory = mkdtempSync(join(tmpdir(), 'config-interpolate-'));
afterAll(() => rmSync(directory, { recursive: true }));

const file = (name: string, content: string | Uint8Array): string => {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
};

const listen = (value: string, env: Record<string, string> = {}): string =>
  loaded(`server: { listen: ${JSON.stringify(value)} }`, { env }).config.server.listen;

const fault = (value: string, env: Record<string, string> = {}): string =>
  heads(`server: { listen: ${JSON.stringify(value)} }`, { env }).join();

describe('interpolate: variables', () => {
  it.each([
    ['${A}', 'one'],
    ['x${A}y${A}z', 'xoneyonez'],
    ['${A:-other}', 'one'],
    ['${NONE:-other}', 'other'],
    ['${NONE:-}', ''],
    ['${EMPTY:-other}', 'other'],
    ['${EMPTY}', ''],
    ['${A:?needed}', 'one'],
    ['${NONE:-${ALSO_NONE:-${A}}}', 'one'],
    ['${NONE:-a$$b}', 'a$b'],
    ['$$', '$'],
    ['$${A}', '${A}'],
    ['$$$${A}', '$${A}'],
    ['$$${A}', '$one'],
    ['$A costs $5', '$A costs $5'],
    ['{A}', '{A}'],
    ['}${A}{', '}one{'],
  ])('makes %j into %j', (template, expected) => {
    expect(listen(template, { A: 'one', EMPTY: '' })).toBe(expected);
  });

  it('does not interpolate what a variable holds', () => {
    expect(listen('${A}', { A: '${B} $$' })).toBe('${B} $$');
  });

  it('cannot add structure: what a variable holds is one scalar', () => {
    expect(listen('${A}', { A: 'x", verbose: true, y: "' })).toBe('x", verbose: true, y: "');
    expect(heads('server: "${A}"', { env: { A: '{ verbose: true }' } })).toEqual([
      'a.yaml:1:9: server: expected a map, got a string from ${A}',
    ]);
  });

  it('does not read inherited properties as variables', () => {
    expect(fault('${constructor}')).toContain('constructor is not set');
  });

  it.each([
    ['${NONE}', 'the environment variable NONE is not set and has no default (${NONE:-default})'],
    ['${NONE:?set it to the port}', 'NONE: set it to the port'],
    ['${EMPTY:?set it}', 'EMPTY: set it'],
    ['${EMPTY:?}', 'the environment variable EMPTY is empty and has no default (${EMPTY:-default})'],
    [
      '${A',
      'expected ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:path}; write "$${" for a literal "${"',
    ],
    ['${A:-x', '"${" without a closing "}"; write "$${" for a literal "${"'],
    ['${}', 'expected a variable name after "${"; write "$${" for a literal "${"'],
    ['${1A}', 'expected a variable name after "${"; write "$${" for a literal "${"'],
    [
      '${A-x}',
      'expected ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:path}; write "$${" for a literal "${"',
    ],
    ['${file:}', '${file:…} names no file'],
  ])('refuses %j, at the scalar', (template, reason) => {
    expect(fault(template, { A: 'x', EMPTY: '' })).toBe(`a.yaml:1:19: server.listen: ${reason}`);
  });

  it('refuses nesting that only an attacker would write, quickly', () => {
    expect(fault('${A:-'.repeat(100_000))).toContain('nested more than 8 deep');
  });

  it('says nothing else about a value that has no variable', () => {
    const yaml = openai(
      '    policies: { retry: { maxRetries: "${NONE}" }, fallback: [{ static: { status: "${NONE}", body: x } }] }',
    );
    expect(heads(yaml)).toHaveLength(2);
  });

  it('needs only the variables of values in effect', () => {
    const base = 'server: { listen: "${NONE}" }\nx-note: "${NONE}"';
    expect(loaded([base, 'server: { listen: a }']).config.server.listen).toBe('a');
  });

  it('leaves keys alone', () => {
    expect(loaded(openai('    anything: { "${NONE}": 1 }')).config.upstreams['openai']?.anything).toEqual({
      '${NONE}': 1,
    });
  });

  it('gives back every text that was escaped', () => {
    for (const text of ['$', '$$', '${A}', 'a$b', '$${', '$$$', '${', '$$$$x${']) {
      expect(parseTemplate(escapeTemplate(text))).toEqual({ ok: true, parts: [{ kind: 'text', text }] });
    }
  });
});

describe('interpolate: types', () => {
  const maxRetries = (yaml: string, env: Record<string, string>) =>
    loaded(openai(`    policies: { retry: { maxRetries: ${yaml} } }`), { env }).config.upstreams['openai']
      ?.policies.retry;

  it.each(['"${N}"', "'${N}'"])('makes %s a number where a number is expected', (yaml) => {
    expect(maxRetries(yaml, { N: '3' })).toMatchObject({ maxRetries: 3 });
  });

  it('takes a default in the same way', () => {
    expect(maxRetries('"${N:-4}"', {})).toMatchObject({ maxRetries: 4 });
  });

  it('makes booleans where booleans are expected, also in a union', () => {
    const env = { OFF: 'false', ON: 'true' };
    const { config } = loaded(openai('    policies: { retry: "${OFF}" }') + 'server: { verbose: "${ON}" }', {
      env,
    });
    expect([config.upstreams['openai']?.policies.retry, config.server.verbose]).toEqual([false, true]);
  });

  it.each(['12345', '0x10', '1e3', 'true', 'null', '~', ''])(
    'keeps %j a string where a string is expected',
    (value) => {
      const { config } = loaded(openai('    credentials: { value: "${KEY}" }'), { env: { KEY: value } });
      expect(config.upstreams['openai']?.credentials?.value).toBe(value);
    },
  );

  it('keeps text around a reference a string', () => {
    expect(heads(openai('    policies: { retry: { maxRetries: "1${N}" } }'), { env: { N: '3' } })).toEqual([
      'a.yaml:5:38: upstreams.openai.policies.retry.maxRetries: expected a number, got a string from 1${N}',
    ]);
  });

  it('takes durations, sizes and choices from variables', () => {
    const env = { MAX: '4s', DIALECT: 'anthropic', BODY: '2KiB' };
    const yaml =
      openai('    dialect: ${DIALECT}', '    policies: { retry: { backoff: { max: "${MAX}" } } }') +
      'server: { maxBody: "${BODY}" }';
    const { config } = loaded(yaml, { env });
    expect(config.upstreams['openai']).toMatchObject({
      dialect: 'anthropic',
      policies: { retry: { backoff: { max: 4_000 } } },
    });
    expect(config.server.maxBody).toBe(2_048);
  });

  it('types by how it is written where anything goes', () => {
    const { config } = loaded(
      openai('    anything: [${N}, "${N}", ${T}]'.replaceAll(/\$\{(\w)\}(?=[,\]])/g, '"${$1}"')),
      { env: { N: '3', T: 'x' } },
    );
    expect(config.upstreams['openai']?.anything).toEqual(['3', '3', 'x']);
    expect(
      loaded(openai('    anything: ${N}'), { env: { N: '3' } }).config.upstreams['openai']?.anything,
    ).toBe(3);
  });

  it('tells a wrong type by the template, not by the value', () => {
    const env = { N: 'not-a-number' };
    expect(heads(openai('    policies: { retry: { maxRetries: "${N}" } }'), { env })).toEqual([
      'a.yaml:5:38: upstreams.openai.policies.retry.maxRetries: expected a number, got a string from ${N}',
    ]);
  });
});

describe('interpolate: files', () => {
  it('takes the content without one trailing line break', () => {
    expect(listen(`\${file:${file('one', 'key\n')}}`)).toBe('key');
    expect(listen(`\${file:${file('two', 'key\r\n')}}`)).toBe('key');
    expect(listen(`\${file:${file('three', 'key\n\n')}}`)).toBe('key\n');
    expect(listen(`Bearer \${file:${file('four', 'key')}}!`)).toBe('Bearer key!');
  });

  it('does not interpolate what a file holds', () => {
    expect(listen(`\${file:${file('raw', '${A}$$')}}`)).toBe('${A}$$');
  });

  it('takes variables inside the path', () => {
    file('named', 'content');
    expect(listen('${file:${DIR}/named}', { DIR: directory })).toBe('content');
  });

  it('starts relative paths at the file that holds them', () => {
    mkdirSync(join(directory, 'sub'));
    file('sub/key', 'from sub');
    const config = file('sub/config.yaml', 'server: { listen: "${file:key}" }');
    const result = loadConfig(sampleSchema, { files: [config], env: {}, sets: [] });
    expect(result).toMatchObject({ ok: true, loaded: { config: { server: { listen: 'from sub' } } } });
    expect(result.ok && result.loaded.files).toEqual([config, join(directory, 'sub/key')]);
  });

  it('reports a missing file at the scalar, and lists it as one to watch', () => {
    const path = join(directory, 'missing');
    const result = load(`server: { listen: "\${file:${path}}" }`);
    expect(result).toMatchObject({
      ok: false,
      problems: [{ line: 1, column: 19, message: `cannot read \${file:${path}}: there is no such file` }],
      files: [path],
    });
  });

  it.each([
    ['a directory', directory, 'it is a directory'],
    ['a device', '/dev/zero', 'it is no regular file'],
    ['a file that is not text', file('binary', new Uint8Array([0xff, 0xfe, 0x00])), 'it is not UTF-8 text'],
    ['a file that is too large', file('large', 'x'.repeat(1_048_577)), 'it is larger than 1048576 bytes'],
    ['a path with a null byte', 'a\0b', 'the file name holds a null byte'],
  ])('refuses %s', (_what, path, reason) => {
    expect(fault(`\${file:${path}}`)).toContain(reason);
  });

  it('refuses a pipe instead of waiting for it', () => {
    const path = join(directory, 'pipe');
    execFileSync('mkfifo', [path]);
    expect(fault(`\${file:${path}}`)).toContain('it is no regular file');
  });

  it('refuses a scalar that grows without bound', () => {
    const half = file('half', 'x'.repeat(600_000));
    expect(fault(`\${file:${half}}\${file:${half}}`)).toContain('the text is too long after interpolation');
  });
});
