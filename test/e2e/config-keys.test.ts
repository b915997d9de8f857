/** The configuration in a key of a real etcd, and in one of Consul's: changed, broken, deleted, and away. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventMap, EventName } from '../../src/core/events.ts';
import { Sidecar } from '../../src/sidecar.ts';
import { runCommandLine } from '../../src/cli/command-line.ts';
import { EventLog } from '../support/policy-kit.ts';
import { ConsulApi } from '../support/consul-api.ts';
import { closedPort } from '../support/dead-ports.ts';
import { hasEtcd, startEtcd } from '../support/etcd-server.ts';
import type { EtcdServer } from '../support/etcd-server.ts';

class Watching implements AsyncDisposable {
  readonly events = new EventLog();
  readonly sidecar: Sidecar;
  readonly #folder: string;

  constructor(sidecar: Sidecar, folder: string) {
    this.sidecar = sidecar;
    this.#folder = folder;
    sidecar.bus.onAny((name, event) => this.events.emit(name, event));
  }

  static async start(files: readonly string[], env: Record<string, string> = {}): Promise<Watching> {
    const folder = mkdtempSync(join(tmpdir(), 'outrigger-keys-'));
    const sets = ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'];
    const input = { files, env: { OUTRIGGER_CONFIG_WAIT: '100ms', ...env }, sets };
    const logTo = join(folder, 'log');
    try {
      return new Watching(await Sidecar.start({ input, watch: true, logTo }), folder);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async until<N extends EventName>(name: N, count = 1): Promise<EventMap[N][]> {
    const wait = { interval: 5, timeout: 10_000 };
    await expect.poll(() => this.events.of(name).length, wait).toBeGreaterThanOrEqual(count);
    return this.events.of(name);
  }

  get upstreams(): string[] {
    return [...this.sidecar.supervisor.runtime.upstreams.keys()];
  }

  get log(): string {
    this.sidecar.log.flush();
    return readFileSync(join(this.#folder, 'log'), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sidecar.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const yaml = (...names: readonly string[]): string =>
  `upstreams:\n${names.map((name) => `  ${name}: { route: /${name}, endpoints: [{ url: "http://127.0.0.1:9" }] }\n`).join('')}`;

describe.skipIf(!hasEtcd)('a configuration in etcd', { timeout: 40_000 }, () => {
  let server: EtcdServer;
  beforeAll(async () => {
    server = await startEtcd();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const addressOf = (key: string): string => `etcd://127.0.0.1:${server.port}/${key}`;

  it('is applied when it changes, and nothing that is wrong, gone or away replaces a good one', async () => {
    const address = addressOf('outrigger/config');
    await server.put('outrigger/config', yaml('one'));
    await using own = await Watching.start([address]);
    expect(own.upstreams).toEqual(['one']);

    await server.put('outrigger/config', yaml('one', 'two'));
    await own.until('config-applied');
    expect(own.upstreams).toEqual(['one', 'two']);

    await server.put('outrigger/config', `${yaml('one')}  two: { rout: /two }\n`);
    const [rejected] = await own.until('config-rejected');
    const problem = rejected?.problems.find(({ path }) => path === 'upstreams.two.rout');
    expect(problem).toMatchObject({ file: address, line: 3, column: 10 });
    expect(own.upstreams).toEqual(['one', 'two']);

    await server.put('outrigger/config', yaml('three'));
    await own.until('config-applied', 2);
    expect(own.upstreams).toEqual(['three']);

    await server.delete('outrigger/config');
    await own.until('config-key-missing');
    expect(own.upstreams).toEqual(['three']);
    expect(await own.sidecar.reload('test')).toMatchObject({ applied: true, changed: false });

    await server.kill();
    await own.until('config-source-away');
    expect(await own.sidecar.metrics.text()).toContain(`outrigger_config_source_up{source="${address}"} 0`);
    expect(await own.sidecar.reload('test')).toMatchObject({ applied: true, changed: false });
    await server.start();
    await server.put('outrigger/config', yaml('four'));
    await own.until('config-applied', 3);
    expect(own.upstreams).toEqual(['four']);
    expect(own.events.of('config-source-back')).toHaveLength(1);
    expect(own.log).toContain('the key of the configuration is gone');
  });

  it('is one layer among files, and a file that it names starts at the working directory', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outrigger-keys-'));
    const file = join(folder, 'top.yaml');
    writeFileSync(file, 'upstreams: { one: { keepAlive: 7s } }\n');
    const lower = `${yaml('one')}  two: { route: /two, endpoints: [{ url: "http://127.0.0.1:\${file:${folder}/port}" }] }\n`;
    writeFileSync(join(folder, 'port'), '9');
    await server.put('layer', lower);
    const allowed = { OUTRIGGER_CONFIG_ALLOW_FILES: folder };
    await using own = await Watching.start([addressOf('layer'), file], allowed);
    expect(own.sidecar.supervisor.config.upstreams['one']?.keepAlive).toBe(7_000);
    expect(own.sidecar.supervisor.files.toSorted()).toEqual([join(folder, 'port'), file]);
    writeFileSync(file, 'upstreams: { one: { keepAlive: 8s } }\n');
    await own.until('config-applied');
    await server.put('layer', yaml('one'));
    await own.until('config-applied', 2);
    expect(own.sidecar.supervisor.config.upstreams['one']?.keepAlive).toBe(8_000);
    expect(own.upstreams).toEqual(['one']);
    rmSync(folder, { recursive: true, force: true });
  });

  it('may neither run programs nor read files and variables here, unless that was allowed on this machine', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outrigger-keys-'));
    const ran = join(folder, 'ran');
    writeFileSync(join(folder, 'secret'), 'hunter2');
    const harmful = `${yaml('one')}agent:
  service: planner
  address: http://127.0.0.1:9
  check: { exec: { command: [/usr/bin/touch, "${ran}"] }, interval: 20ms }
  metadata: { stolen: "\${file:${folder}/secret}" }
`;
    const address = addressOf('harm');
    await server.put('harm', yaml('one'));
    {
      await using own = await Watching.start([address]);
      await server.put('harm', harmful);
      const [rejected] = await own.until('config-rejected');
      expect(rejected?.problems).toMatchObject([
        { path: 'agent.check.exec.command', file: address, line: 6, column: 29 },
        { path: 'agent.metadata.stolen', file: address, line: 7 },
      ]);
      expect([own.sidecar.agent.snapshot, existsSync(ran)]).toEqual([undefined, false]);
      expect(own.log).not.toContain('hunter2');
    }
    const env = { OUTRIGGER_CONFIG_ALLOW_PROGRAMS: 'true', OUTRIGGER_CONFIG_ALLOW_FILES: folder };
    await server.put('harm', harmful);
    await using own = await Watching.start([address], env);
    await expect.poll(() => existsSync(ran), { interval: 5, timeout: 10_000 }).toBe(true);
    expect(own.sidecar.supervisor.config.agent?.metadata).toEqual({ stolen: 'hunter2' });
    rmSync(folder, { recursive: true, force: true });
  });

  it('has to be there at the start: a key that is not, and a server that is away, are told', async () => {
    await expect(Watching.start([addressOf('none')])).rejects.toThrow(
      `${addressOf('none')}:1:1: cannot read the key: there is no key "none"`,
    );
    await using gone = await closedPort();
    const address = `etcd://127.0.0.1:${gone.port}/k`;
    await expect(Watching.start([address])).rejects.toThrow(/cannot read the key: etcd: POST http:.*range/);
  });

  it('waits at the start for a server that comes a little later', async () => {
    await server.put('late', yaml('late'));
    await server.kill();
    const starting = Watching.start([addressOf('late')], { OUTRIGGER_CONFIG_WAIT: '20s' });
    await server.start();
    await using own = await starting;
    expect(own.upstreams).toEqual(['late']);
  });

  it('can be validated and printed where it is', async () => {
    const io = (): { out: string; err: string } => ({ out: '', err: '' });
    const run = async (...words: readonly string[]) => {
      const said = io();
      const code = await runCommandLine(words, {
        env: {},
        interactive: false,
        out: (text) => void (said.out += text),
        err: (text) => void (said.err += text),
      });
      return { code, ...said };
    };
    await server.put('check', yaml('one'));
    const address = addressOf('check');
    expect(await run('validate', '--config', address)).toMatchObject({ code: 0 });
    expect((await run('print-config', '--config', address)).out).toContain('one:');
    await server.put('check', 'upstreams: 5\n');
    expect((await run('validate', '--config', address)).out).toContain(`${address}:1:12: upstreams`);
    expect((await run('validate', '--config', 'etcd://joe:pw@h/k')).err).toContain(
      'without user and password',
    );
  });
});

describe('a configuration in Consul', { timeout: 20_000 }, () => {
  it('is applied when it changes, and stays when it is deleted or Consul fails', async () => {
    await using api = await ConsulApi.start();
    api.token = 'secret';
    api.setKey('outrigger/config', yaml('one'));
    const address = `consul://127.0.0.1:${api.port}/outrigger/config?dc=east`;
    await expect(Watching.start([address])).rejects.toThrow(/answered 403/);
    await using own = await Watching.start([address], { OUTRIGGER_CONFIG_TOKEN: 'secret' });
    expect(own.upstreams).toEqual(['one']);
    const { params } = await api.asked((request) => request.params.has('index'));
    expect(params.get('dc')).toBe('east');

    api.setKey('outrigger/config', yaml('two'));
    await own.until('config-applied');
    expect(own.upstreams).toEqual(['two']);
    api.setKey('outrigger/config', undefined);
    await own.until('config-key-missing');
    api.broken = 500;
    await own.until('config-source-away');
    api.setKey('outrigger/config', yaml('three'));
    api.broken = undefined;
    await own.until('config-applied', 2);
    expect(own.upstreams).toEqual(['three']);
  });
});
