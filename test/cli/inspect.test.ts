import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { configFile, inProcess, outrigger, projectRoot } from './fixture.ts';

const SECRET = 'sk-never-to-be-printed';

const CONFIG = `admin: { token: ${SECRET}-token }
defaults:
  policies: { retry: { maxRetries: 4 } }
upstreams:
  tools:
    route: /tools
    endpoints: [{ url: http://127.0.0.1:9 }]
    credentials: { value: Bearer ${SECRET} }
    policies: { deadline: { after: 30s }, circuitBreaker: false }
`;

describe('outrigger explain', () => {
  it('prints every value of an upstream in columns, with where it came from', async () => {
    const file = configFile(CONFIG);
    const { code, stdout, stderr } = await outrigger(
      ['explain', 'tools', '-c', file, '--set', 'upstreams.tools.replayLimit=1MiB'],
      { env: { OUTRIGGER__UPSTREAMS__TOOLS__POLICIES__ATTEMPT_TIMEOUT__CONNECT: '3s' } },
    );
    expect([code, stderr]).toEqual([0, '']);
    const rows = stdout.split('\n').map((line) => line.split(/ {2,}/));
    for (const row of [
      ['route', '/tools', `${file}:6:12`],
      ['policies.deadline.after', '30s', `${file}:9:36`],
      ['policies.retry.maxRetries', '4', `defaults ${file}:3:36`],
      ['policies.retry.backoff.initial', '250ms', 'default'],
      [
        'policies.attemptTimeout.connect',
        '3s',
        'env OUTRIGGER__UPSTREAMS__TOOLS__POLICIES__ATTEMPT_TIMEOUT__CONNECT',
      ],
      ['replayLimit', '1MiB', '--set upstreams.tools.replayLimit'],
      ['policies.circuitBreaker', 'false', `${file}:9:59`],
      ['policies.fallback', 'off', 'default'],
    ])
      expect(rows).toContainEqual(row);
    const columns = stdout.split('\n').slice(2, -1);
    const at = columns[0]?.indexOf('value') ?? -1;
    for (const line of columns) expect(line.slice(at - 2, at)).toBe('  ');
  });

  it('hides secrets', async () => {
    const { code, stdout } = await inProcess(['explain', 'tools', '-c', configFile(CONFIG)]);
    expect(code).toBe(0);
    expect(stdout).toContain('credentials.value');
    expect(stdout).not.toContain(SECRET);
  });

  it('exits with 1 for an upstream that does not exist, and says which do', async () => {
    const { code, stdout, stderr } = await outrigger(['explain', 'tool', '-c', configFile(CONFIG)]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toBe('there is no upstream "tool"; did you mean "tools"?; there are tools\n');
  });
});

describe('outrigger print-config', () => {
  it('prints a configuration that means the same, secrets hidden', async () => {
    const { code, stdout, stderr } = await outrigger(['print-config', '-c', configFile(CONFIG)]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('maxRetries: 4');
    expect(stdout).not.toContain(SECRET);
    const again = await inProcess([
      'print-config',
      '-c',
      configFile(stdout.replaceAll("'***'", "'********'")),
    ]);
    expect(again.stdout).toBe(stdout);
  });

  it('adds where every value came from when asked', async () => {
    const file = configFile(CONFIG);
    const { code, stdout } = await inProcess(['print-config', '-c', file, '--origins']);
    expect(code).toBe(0);
    expect(stdout).toContain(`maxRetries: 4 # defaults ${file}:3:36`);
    expect(stdout).toContain('listen: 127.0.0.1:8080 # default');
    expect(stdout).not.toContain(SECRET);
  });

  it('prints nothing but the problems of a configuration that is invalid', async () => {
    const { code, stdout, stderr } = await outrigger([
      'print-config',
      '-c',
      configFile('server: { lisen: x }'),
    ]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/outrigger\.yaml:1:11: server\.lisen: .*did you mean "listen"\?/);
  });
});

describe('outrigger schema', () => {
  it('prints exactly what config/outrigger.schema.json holds; run `npm run schema` after a change', async () => {
    const { code, stdout, stderr } = await outrigger(['schema']);
    expect([code, stderr]).toEqual([0, '']);
    const shipped = readFileSync(join(projectRoot, 'config', 'outrigger.schema.json'), 'utf8');
    expect(stdout === shipped).toBe(true);
  });

  it('is named in the first line of the shipped configuration, which fits it', () => {
    const text = readFileSync(join(projectRoot, 'config', 'outrigger.yaml'), 'utf8');
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=./outrigger.schema.json');
    const shipped = JSON.parse(
      readFileSync(join(projectRoot, 'config', 'outrigger.schema.json'), 'utf8'),
    ) as object;
    const fits = new Ajv2020({ strict: false, validateFormats: false }).compile(shipped);
    fits(load(text));
    expect(fits.errors).toBeNull();
  });
});
