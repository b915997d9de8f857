import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  configFile,
  inProcess,
  minimalConfig,
  outrigger,
  projectRoot,
  temporaryDirectory,
} from './fixture.ts';

const BROKEN = `server:
  listen: 8080
upstreams:
  openai:
    rout: /openai
    endpoints: [{ url: https://api.openai.com }]
    credentials: { value: sk-very-secret, heder: x }
    policies: { retry: { maxRetries: many } }
`;

/** The configurations that come with the package, and what they need from outside. */
const PACKAGED = join(projectRoot, 'config', 'outrigger.yaml');
const PRODUCTION = join(projectRoot, 'config', 'production.yaml');

describe('outrigger validate', () => {
  it('accepts the packaged configuration, and takes it where none is named, from any directory', async () => {
    const { code, stdout, stderr } = await outrigger(['validate'], { cwd: tmpdir() });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/config\/outrigger\.yaml: valid \(5 upstreams, hash [0-9a-f]{12}\)\n$/);
  });

  it('accepts the layered example with its secrets mounted, and says what is missing without them', async () => {
    const secrets = temporaryDirectory();
    for (const name of ['openai_api_key', 'anthropic_api_key'])
      writeFileSync(join(secrets, name), 'sk-file\n');
    const args = ['validate', '-c', PACKAGED, '-c', PRODUCTION];
    const env = { SECRETS_DIR: secrets, OUTRIGGER_ADMIN_TOKEN: 'a-long-token' };
    const complete = await outrigger(args, { env });
    expect([complete.code, complete.stderr]).toEqual([0, '']);
    expect(complete.stdout).toContain('valid (3 upstreams');
    const incomplete = await inProcess(args);
    expect(incomplete.code).toBe(1);
    expect(incomplete.stdout).toMatch(/production\.yaml:6:10: admin\.token: OUTRIGGER_ADMIN_TOKEN: /);
  });

  it('prints every problem at once with file, line and column, and exits with 1', async () => {
    const file = configFile(BROKEN);
    const { code, stdout, stderr } = await outrigger(['validate', '-c', file]);
    expect([code, stderr]).toEqual([1, '4 problems\n']);
    for (const position of [
      '2:11: server.listen: ',
      '5:5: upstreams.openai.rout: ',
      '7:43: upstreams.openai.credentials.heder: ',
      '8:38: upstreams.openai.policies.retry.maxRetries: ',
    ])
      expect(stdout).toContain(`${file}:${position}`);
    expect(stdout).not.toContain('sk-very-secret');
  });

  it('prints a JSON array for programs, empty when all is well', async () => {
    const { code, stdout } = await inProcess(['validate', '-c', configFile(BROKEN), '--format', 'json']);
    expect(code).toBe(1);
    const problems = JSON.parse(stdout) as { line: number; path: string }[];
    expect(problems).toHaveLength(4);
    expect(problems).toContainEqual(expect.objectContaining({ line: 2, column: 11, path: 'server.listen' }));
    expect(stdout).not.toContain('sk-very-secret');
    expect(await inProcess(['validate', '--format', 'json'])).toEqual({
      code: 0,
      stdout: '[]\n',
      stderr: '',
    });
  });

  it('prints annotations for GitHub', async () => {
    const file = configFile(BROKEN);
    const { code, stdout } = await inProcess(['validate', '-c', file, '--format', 'github']);
    expect(code).toBe(1);
    expect(stdout).toContain(`::error file=${file},line=2,col=11::server.listen: `);
  });

  it('layers files, then the environment, then --set', async () => {
    const base = configFile(minimalConfig());
    const env = { OUTRIGGER_CONFIG: base, OUTRIGGER__SERVER__DRAIN_TIMEOUT: 'soon' };
    const fromEnv = await outrigger(['validate'], { env });
    expect(fromEnv.code).toBe(1);
    expect(fromEnv.stdout).toMatch(/^env OUTRIGGER__SERVER__DRAIN_TIMEOUT: server\.drainTimeout: /);
    const overridden = await outrigger(['validate', '--set', 'server.drainTimeout=1s'], { env });
    expect([overridden.code, overridden.stderr]).toEqual([0, '']);
  });

  it('notices what only a start would, such as a certificate that cannot be read', async () => {
    const file = configFile(
      minimalConfig(
        '{ a: { route: /a, endpoints: [{ url: "https://127.0.0.1:1" }], tls: { caFile: /nowhere/ca.pem } } }',
      ),
    );
    const { code, stdout } = await inProcess(['validate', '-c', file]);
    expect(code).toBe(1);
    expect(stdout).toContain(
      'upstreams.a.tls.caFile: expected a file that can be read (there is no such file)',
    );
  });

  it('says that a file is missing', async () => {
    const { code, stdout } = await inProcess(['validate', '-c', '/nowhere/outrigger.yaml']);
    expect(code).toBe(1);
    expect(stdout).toContain('/nowhere/outrigger.yaml');
    expect(stdout).toContain('there is no such file');
  });
});
