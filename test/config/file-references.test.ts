/** Fields that name a file: found, read, checked, hashed and watched with the configuration itself. */
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { toJsonSchema } from '../../src/config/json-schema.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { LoadResult } from '../../src/config/load.ts';
import { printConfig } from '../../src/config/print.ts';
import { formatProblems } from '../../src/config/problem.ts';
import { checkTls } from '../../src/config/check-tls.ts';
import { configSchema } from '../../src/config/schema.ts';
import { FileContents, fileContents } from '../../src/schema/file-contents.ts';
import { tlsFile } from '../support/tls/identities.ts';

const schema = z.strictObject({
  page: fileContents.optional().describe('A page.'),
  pages: z.array(z.union([z.strictObject({ file: fileContents }), z.literal(false)])).optional(),
});
type Pages = LoadResult<z.output<typeof schema>>;

const directory = mkdtempSync(join(tmpdir(), 'config-files-'));
afterAll(() => rmSync(directory, { recursive: true }));

function put(name: string, text: string): string {
  const path = join(directory, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const load = (yaml: string, env: Record<string, string> = {}): Pages =>
  loadConfig(schema, { files: [put('conf/main.yaml', yaml)], env, sets: [] });

function loaded(result: Pages): Extract<Pages, { ok: true }>['loaded'] {
  if (!result.ok) throw new Error(formatProblems(result.problems, 'text'));
  return result.loaded;
}

describe('a file that the configuration names', () => {
  it('is read, whatever bytes it holds', () => {
    const path = join(directory, 'bytes');
    writeFileSync(path, Buffer.from([0, 255, 10]));
    const { page } = loaded(load(`page: ${path}`)).config;
    expect([...(page?.bytes ?? [])]).toEqual([0, 255, 10]);
    expect(page?.path).toBe(path);
  });

  it('is looked for from where the naming file is, also in lists and after interpolation', () => {
    const path = put('conf/below/page', 'hello');
    const { config } = loaded(load('pages: [{ file: "${DIR}/page" }]', { DIR: 'below' }));
    expect(config.pages).toMatchObject([{ file: { path } }]);
  });

  it('is watched, whether it is there or not', () => {
    const main = join(directory, 'conf/main.yaml');
    const there = put('conf/there', '');
    expect(loaded(load('page: there')).files).toEqual([main, there]);
    const missing = load('page: missing');
    expect(missing).toMatchObject({
      ok: false,
      files: [main, join(directory, 'conf/missing')],
    });
  });

  it('makes another configuration when its contents change, and the same when they do not', () => {
    const hashWith = (text: string): string => {
      put('conf/page', text);
      return loaded(load('page: page')).hash;
    };
    const before = hashWith('one');
    expect(hashWith('two')).not.toBe(before);
    expect(hashWith('one')).toBe(before);
  });

  it.each([
    ['is missing', 'nowhere', 'there is no such file'],
    ['is a directory', '.', 'it is a directory'],
    ['is a device', '/dev/zero', 'it is no regular file'],
  ])('that %s is refused with its place in the configuration', (_, path, reason) => {
    const result = load(`pages:\n  - file: ${path}`);
    expect(result).toMatchObject({ ok: false, problems: [{ line: 2, column: 11, path: 'pages[0].file' }] });
    if (!result.ok) expect(result.problems[0]?.message).toContain(`(${reason}), got `);
  });

  it('that is too large is refused without being read', () => {
    const path = put('conf/huge', '');
    truncateSync(path, 10 * 1024 * 1024 + 1);
    expect(load('page: huge')).toMatchObject({ ok: false, problems: [{ path: 'page' }] });
  });

  it('is shown by its path, never by its contents', () => {
    const path = put('conf/private', 'not-to-be-shown');
    const result = loaded(load('page: private'));
    const texts = [printConfig(schema, result, { origins: true }), JSON.stringify(result.config)];
    for (const text of texts) {
      expect(text).toContain(path);
      expect(text).not.toContain('not-to-be-shown');
    }
  });

  it('is a text to editors', () => {
    const { $defs } = toJsonSchema(schema, { title: 'x' }) as { $defs: Record<string, object> };
    expect($defs['FilePath']).toMatchObject({ anyOf: [{ type: 'string' }, {}] });
    expect(JSON.stringify($defs)).not.toContain('"file":true');
  });
});

describe('certificates', () => {
  const check = (yaml: string): string => {
    const file = put('conf/tls.yaml', yaml);
    const result = loadConfig(configSchema, { files: [file], env: {}, sets: [] }, checkTls);
    return result.ok ? '' : formatProblems(result.problems, 'text');
  };
  const server = (cert: string, key: string): string =>
    `server:\n  tls:\n    certFile: ${cert}\n    keyFile: ${key}\nupstreams: {}\n`;
  const upstream = (tls: string): string =>
    `upstreams: { a: { route: /a, endpoints: [{ url: "https://127.0.0.1:1" }], tls: { ${tls} } } }`;
  const cert = tlsFile('server.cert.pem');
  const key = tlsFile('server.key.pem');

  it('are accepted with their key', () => {
    expect(check(server(cert, key))).toBe('');
    expect(check(upstream(`caFile: ${tlsFile('ca.cert.pem')}, certFile: ${cert}, keyFile: ${key}`))).toBe('');
  });

  it('and keys that are none are each told of, at their own line', () => {
    const garbage = put('garbage', 'garbage');
    const text = check(server(garbage, garbage));
    expect(text).toContain('tls.yaml:3:15: server.tls.certFile: expected a PEM certificate chain, got');
    expect(text).toContain('tls.yaml:4:14: server.tls.keyFile: expected a PEM private key, got');
    expect(check(upstream(`caFile: ${garbage}`))).toContain(
      'upstreams.a.tls.caFile: expected PEM certificates',
    );
  });

  it('are refused with the key of another', () => {
    const other = tlsFile('client.key.pem');
    expect(check(server(cert, other))).toContain('server.tls.keyFile: expected the key of the certificate');
    expect(check(upstream(`certFile: ${cert}, keyFile: ${other}`))).toContain('upstreams.a.tls.keyFile');
  });
});

it('a file knows its digest', () => {
  const digest = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
  expect(new FileContents('x', Buffer.from('hello')).sha256).toBe(digest);
});
