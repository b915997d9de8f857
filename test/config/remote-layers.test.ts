/** What whoever may write a key could do to the machine of the sidecar, and may not unless it is allowed there. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';

const KEY = 'etcd://127.0.0.1:2379/k';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outrigger-remote-'));
  mkdirSync(join(folder, 'shared'));
  writeFileSync(join(folder, 'secret'), 'hunter2hunter2');
  writeFileSync(join(folder, 'shared', 'port'), '8123');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Layers {
  readonly local?: string;
  readonly env?: Record<string, string>;
  readonly sets?: readonly string[];
}

function load(remote: string, { local, env = {}, sets = [] }: Layers = {}) {
  const file = join(folder, 'base.yaml');
  if (local !== undefined) writeFileSync(file, local);
  const fetched = new Map([[KEY, { ok: true as const, text: remote }]]);
  const input = { files: [...(local === undefined ? [] : [file]), KEY], fetched, env, sets };
  return loadConfig(configSchema, input, checkConfig);
}

const refusalsOf = (remote: string, layers?: Layers): string[] => {
  const result = load(remote, layers);
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
};

const AGENT = 'service: planner, address: "http://10.0.0.7:8000"';
const LOCAL = `agent: { ${AGENT}, recovery: [{ after: 9, command: up }], commands: { up: [systemctl, restart, planner] } }`;
const ALLOWED = { OUTRIGGER_CONFIG_ALLOW_PROGRAMS: 'true' };

describe('programs', () => {
  it.each([
    ['agent.check.exec.command', `agent: { ${AGENT}, check: { exec: { command: [sh, -c, x] } } }`],
    ['agent.commands.up', 'agent: { commands: { up: [rm] } }'],
    ['agent.recovery[0].command', 'agent: { recovery: [{ after: 9, command: up }] }'],
    ['agent.env.LD_PRELOAD', 'agent: { env: { LD_PRELOAD: /x.so } }'],
  ])('a key may not say %s', (path, remote) => {
    const [first, ...others] = refusalsOf(remote, { local: LOCAL });
    expect(first).toContain(`${path}: a configuration from the network may not say which programs run here`);
    expect(first).toContain('OUTRIGGER_CONFIG_ALLOW_PROGRAMS=true');
    expect(others).toEqual([]);
    expect(refusalsOf(remote, { local: LOCAL, env: ALLOWED })).toEqual([]);
  });

  it('are told with the place in the key', () => {
    const result = load('\nagent: { env: { A: b } }\n', { local: LOCAL });
    expect(result.ok ? [] : result.problems).toMatchObject([{ file: KEY, line: 2, column: 20 }]);
  });

  it('of this machine run, whatever else of the agent a key says', () => {
    const remote = 'agent: { weight: 5, check: { interval: 1s } }';
    expect(refusalsOf(remote, { local: LOCAL })).toEqual([]);
    const set = { sets: ['agent.commands={up: [systemctl, restart, planner]}'] };
    expect(
      refusalsOf(`agent: { ${AGENT} }`, { ...set, local: 'agent: { recovery: [{ command: up }] }' }),
    ).toEqual([]);
  });

  it('a key without programs may name the environment of none', () => {
    expect(refusalsOf(`agent: { ${AGENT}, env: { A: b } }`)).toEqual([]);
  });

  it('only the word true allows them', () => {
    const env = { OUTRIGGER_CONFIG_ALLOW_PROGRAMS: '0' };
    expect(refusalsOf('agent: { env: { A: b } }', { local: LOCAL, env })).toHaveLength(1);
  });
});

const endpoint = (url: string): string => `upstreams: { a: { route: /a, endpoints: [{ url: "${url}" }] } }`;

describe('files', () => {
  it('a key may not read one into a value, and nothing of it is shown', () => {
    const remote = endpoint(`http://127.0.0.1:1/\${file:${folder}/secret}`);
    const [refusal] = refusalsOf(remote);
    expect(refusal).toContain(
      `upstreams.a.endpoints[0].url: a configuration from the network may not read \${file:${folder}/secret}, unless OUTRIGGER_CONFIG_ALLOW_FILES names its directory`,
    );
    const result = load(remote);
    expect(JSON.stringify(result)).not.toContain('hunter2');
    expect(result.ok ? [] : result.files).toEqual([]);
  });

  it.each([
    ['state.dir', 'state: { dir: /var/x }'],
    [
      'upstreams.a.discovery.file',
      'upstreams: { a: { route: /a, discovery: { file: /etc/endpoints.yaml } } }',
    ],
    [
      'upstreams.a.discovery.kubernetes.tokenFile',
      'upstreams: { a: { route: /a, discovery: { kubernetes: { service: s, namespace: n, apiServer: "http://127.0.0.1:1", tokenFile: /t } } } }',
    ],
    ['upstreams.a.tls.caFile', `${endpoint('https://h').slice(0, -3)}, tls: { caFile: /nowhere } } }`],
  ])('a key may not name one in %s, nor learn whether it is there', (path, remote) => {
    expect(refusalsOf(remote)).toEqual([
      `${path}: a configuration from the network may not name this path, unless OUTRIGGER_CONFIG_ALLOW_FILES names its directory on this machine`,
    ]);
  });

  it('those of the directories that are shared with it may be read, and no way leads out of them', () => {
    const env = { OUTRIGGER_CONFIG_ALLOW_FILES: ['/nowhere', join(folder, 'shared')].join(delimiter) };
    expect(refusalsOf(endpoint(`http://h:\${file:${folder}/shared/port}`), { env })).toEqual([]);
    expect(refusalsOf(`state: { dir: ${folder}/shared/deep }`, { env })).toEqual([]);
    for (const path of ['shared/../secret', 'shared-not', 'secret', '.'])
      expect(refusalsOf(`state: { dir: ${folder}/${path} }`, { env })).toHaveLength(1);
  });

  it('a file of this machine may read what it likes, a layer in a key above it or not', () => {
    const local = endpoint(`http://h:\${file:${folder}/shared/port}`);
    expect(refusalsOf('logging: { level: warn }', { local })).toEqual([]);
  });
});

describe('variables', () => {
  const remote = (reference: string): string => endpoint(`http://h/${reference}`);

  it('a key may not read those that are not shared with it, whether they are set or not', () => {
    for (const reference of ['${AWS_SECRET}', '${AWS_SECRET:-x}', '${NONE:-${AWS_SECRET}}'])
      expect(refusalsOf(remote(reference), { env: { AWS_SECRET: 'hunter2' } })[0]).toContain(
        'unless OUTRIGGER_CONFIG_ALLOW_VARIABLES names it',
      );
  });

  it('a key may read those that are, but never those that keys are read with', () => {
    const env = {
      PART: 'x',
      OUTRIGGER_CONFIG_TOKEN: 'hunter2',
      OUTRIGGER_CONFIG_ALLOW_VARIABLES: 'PART, OUTRIGGER_CONFIG_TOKEN',
    };
    expect(refusalsOf(remote('${PART}'), { env })).toEqual([]);
    expect(refusalsOf(remote('${OUTRIGGER_CONFIG_TOKEN}'), { env })).toHaveLength(1);
  });

  it('values from the environment and from flags are of this machine', () => {
    const env = { OUTRIGGER__STATE__DIR: '/var/x' };
    expect(refusalsOf('logging: { level: warn }', { env, sets: ['logging.level=info'] })).toEqual([]);
  });
});
