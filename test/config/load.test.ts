import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { LoadResult } from '../../src/config/load.ts';
import { effectiveValues, printConfig } from '../../src/config/print.ts';
import { formatProblems } from '../../src/config/problem.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { load, openai, sampleSchema } from './sample-schema.ts';
import type { Sample } from './sample-schema.ts';

const directory = mkdtempSync(join(tmpdir(), 'config-load-'));
afterAll(() => rmSync(directory, { recursive: true }));

const file = (name: string, content: string | Uint8Array): string => {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
};

const loadFiles = (
  files: readonly string[],
  texts?: readonly { name: string; text: string }[],
): LoadResult<Sample> => loadConfig(sampleSchema, { files, env: {}, sets: [], ...(texts && { texts }) });

const messages = (result: LoadResult<Sample>): readonly string[] =>
  result.ok
    ? []
    : result.problems.map(
        ({ file: name, line, column, message }) =>
          `${relative(directory, name)}:${line}:${column} ${message}`,
      );

describe('load', () => {
  it('reads files in order and lists them', () => {
    const files = [
      file('base.yaml', 'server: { listen: a, verbose: true }'),
      file('prod.yaml', 'server: { listen: b }'),
    ];
    expect(loadFiles(files)).toMatchObject({
      ok: true,
      loaded: { config: { server: { listen: 'b', verbose: true } }, files, warnings: [] },
    });
  });

  it('takes a text in place of the first file', () => {
    const files = ['not there', file('over.yaml', 'server: { verbose: true }')];
    const result = loadFiles(files, [{ name: 'embedded', text: 'server: { listen: x }' }]);
    expect(result).toMatchObject({
      ok: true,
      loaded: { config: { server: { listen: 'x', verbose: true } }, files: files.slice(1) },
    });
  });

  it('is content with no file at all where everything has a default', () => {
    expect(loadFiles([])).toMatchObject({
      ok: true,
      loaded: { config: { server: { listen: '127.0.0.1:8080' } }, files: [] },
    });
  });

  it('lists a relative file as absolute and speaks of it as it was named', () => {
    const path = relative(process.cwd(), file('relative.yaml', 'server: 5'));
    const result = loadFiles([path]);
    expect(result).toMatchObject({
      ok: false,
      files: [join(directory, 'relative.yaml')],
      problems: [{ file: path }],
    });
  });

  it.each([
    [
      'is missing',
      join(directory, 'missing.yaml'),
      'missing.yaml:1:1 cannot read the file: there is no such file',
    ],
    ['is a directory', directory, ':1:1 cannot read the file: it is a directory'],
    [
      'is no text',
      file('binary.yaml', new Uint8Array([0xff, 0xfe, 0x61, 0x00])),
      'binary.yaml:1:1 cannot read the file: it is not UTF-8 text',
    ],
    [
      'is too large',
      file('large.yaml', '#'.repeat(1_048_577)),
      'large.yaml:1:1 cannot read the file: it is larger than 1048576 bytes',
    ],
  ])('refuses a file that %s', (_what, path, message) => {
    expect(messages(loadFiles([path]))).toEqual([message]);
  });

  it('accepts a file of exactly the allowed size', () => {
    const text = 'server: {}\n';
    expect(loadFiles([file('full.yaml', text + '#'.repeat(1_048_576 - text.length))]).ok).toBe(true);
  });

  it('tells about all files at once', () => {
    const files = [join(directory, 'missing.yaml'), file('empty.yaml', ''), file('broken.yaml', 'a: [')];
    expect(messages(loadFiles(files))).toHaveLength(3);
    expect(loadFiles(files)).toMatchObject({ files });
  });

  it('refuses every cut of a file, or reads it, but never throws', () => {
    const whole = openai(
      '    credentials: { value: "${KEY:-x}" }',
      '    policies:',
      '      retry: { maxRetries: 3 }',
      '    headers: |',
      '      é😀',
    );
    for (let length = 0; length <= whole.length; length++) {
      const result = load(whole.slice(0, length));
      if (!result.ok) expect(result.problems.length).toBeGreaterThan(0);
    }
  });
});

describe('load: anything at all', () => {
  const fragment = fc.constantFrom(
    ...[
      'upstreams:',
      'openai:',
      'policies:',
      'retry:',
      'server:',
      'defaults:',
      'x-a:',
      'false',
      '5',
      '5s',
      'null',
      '- ',
      '\n',
      '\n  ',
    ],
    ...[
      '\n    ',
      '{',
      '}',
      '[',
      ']',
      ', ',
      ': ',
      '&a ',
      '*a',
      '<<: ',
      '${A}',
      '${',
      '$$',
      '"',
      "'",
      '|',
      '>',
      '# ',
      '!!str ',
      '? ',
    ],
    ...['constructor: ', 'toString: ', 'name: a', '\t', '\r\n', '😀', '\uFEFF', '...', '---\n', '%'],
  );
  const texts = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.array(fragment, { maxLength: 40 }).map((parts) => parts.join('')) },
      fc.string(),
    ),
    { minLength: 1, maxLength: 3 },
  );
  const value = fc.oneof(fragment, fc.string());
  const env = fc.dictionary(
    fc.constantFrom(
      'A',
      'OUTRIGGER__SERVER',
      'OUTRIGGER__UPSTREAMS__OPENAI__POLICIES',
      'OUTRIGGER__DEFAULTS',
      'OUTRIGGER__X',
    ),
    value,
  );
  const sets = fc.array(
    fc
      .tuple(fc.constantFrom('server', 'upstreams.a', 'upstreams.a.endpoints[0]', 'x', ''), value)
      .map((pair) => pair.join('=')),
  );

  it('is loaded or refused with positioned problems, and can be shown', () => {
    fc.assert(
      fc.property(texts, env, sets, (yaml, variables, flags) => {
        const result = load(yaml, { env: variables, sets: flags });
        if (result.ok) {
          printConfig(sampleSchema, result.loaded, { origins: true });
          effectiveValues(sampleSchema, result.loaded, []);
          return;
        }
        expect(result.problems.length).toBeGreaterThan(0);
        for (const problem of result.problems) {
          expect(problem.line === 0 || (problem.line > 0 && problem.column > 0)).toBe(true);
          expect(problem.caret ?? 0).toBeLessThanOrEqual(problem.sourceLine?.length ?? 0);
        }
        formatProblems(result.problems, 'text');
        formatProblems(result.problems, 'github');
        JSON.parse(formatProblems(result.problems, 'json'));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('load: speed', () => {
  const yamlOf = (count: number): string => {
    const upstreams = Array.from({ length: count }, (_, i) =>
      [
        `  service${i}:`,
        `    route: /service${i}`,
        '    endpoints:',
        '      - { url: "https://one.example" }',
        '      - { url: "https://two.example", weight: 3 }',
        '    credentials: { value: "Bearer ${KEY}" }',
        '    policies:',
        '      retry: { maxRetries: "${N}", backoff: { initial: 100ms } }',
      ].join('\n'),
    );
    return `defaults:\n  policies:\n    deadline: { after: 30s }\nupstreams:\n${upstreams.join('\n')}\n`;
  };

  const quickest = (yaml: string): number => {
    const once = (): void => expect(load(yaml, { env: { KEY: 'x', N: '3' } }).ok).toBe(true);
    return Math.min(...Array.from({ length: 5 }, () => cpuMs(once)));
  };

  it('grows with the text and not with its square', () => {
    const [short, long] = [yamlOf(20), yamlOf(200)];
    // Code is compiled meanwhile.
    quickest(long);
    expect(quickest(long) / quickest(short)).toBeLessThan(50);
  });
});
