/** Instances come and go in a real etcd, under load, while etcd itself is stopped, started and cleaned up. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasEtcd, startEtcd } from '../support/etcd-server.ts';
import type { EtcdServer } from '../support/etcd-server.ts';
import { request } from '../support/raw-client.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { TestSidecar } from '../support/start-sidecar.ts';

class Instance implements AsyncDisposable {
  calls = 0;
  readonly #server = createServer((_, response) => {
    this.calls += 1;
    response.end('fine');
  });

  static async start(): Promise<Instance> {
    const instance = new Instance();
    await new Promise<void>((resolve) => instance.#server.listen(0, '127.0.0.1', resolve));
    return instance;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Callers that never stop; what is not answered with 200 is counted. */
class Load {
  answered = 0;
  readonly bad: number[] = [];
  #stopped = false;
  readonly #callers: readonly Promise<void>[];

  constructor(port: number, callers = 3) {
    this.#callers = Array.from({ length: callers }, () => this.#call(port));
  }

  async more(count: number): Promise<void> {
    const wanted = this.answered + count;
    await expect.poll(() => this.answered, { interval: 5, timeout: 10_000 }).toBeGreaterThanOrEqual(wanted);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
  }

  async #call(port: number): Promise<void> {
    while (!this.#stopped) {
      const { status } = await request(port, { path: '/agents/x' });
      this.answered += 1;
      if (status !== 200) this.bad.push(status);
    }
  }
}

const listed = ({ sidecar }: TestSidecar): string[] =>
  (sidecar.supervisor.runtime.upstreams.get('agents')?.source.endpoints ?? []).map(({ url }) => url).sort();

async function untilListed(own: TestSidecar, ...instances: readonly Instance[]): Promise<void> {
  const wanted = instances.map(({ url }) => url).sort();
  await expect.poll(() => listed(own), { interval: 5, timeout: 10_000 }).toEqual(wanted);
}

describe.skipIf(!hasEtcd)('endpoints in etcd', { timeout: 40_000 }, () => {
  let server: EtcdServer;
  beforeAll(async () => {
    server = await startEtcd();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const config = (urls: readonly string[]): string =>
    `upstreams: { agents: { route: /agents, discovery: { etcd: { urls: ${JSON.stringify(urls)}, prefix: "agents/" } } } }`;

  it('come, go and change under load, whatever happens to etcd, and no call is lost', async () => {
    await using one = await Instance.start();
    await using two = await Instance.start();
    await using three = await Instance.start();
    await server.put('agents/one', one.url);
    await server.put('agents/two', two.url);
    await using own = await startSidecar(config([server.url]));
    const load = new Load(own.port);
    await load.more(50);

    await server.put('agents/three', JSON.stringify({ url: three.url, weight: 2, zone: 'b' }));
    await untilListed(own, one, two, three);
    await expect.poll(() => three.calls, { interval: 5 }).toBeGreaterThan(10);
    await server.delete('agents/one');
    await untilListed(own, two, three);
    await load.more(10);
    const callsOfOne = one.calls;
    await load.more(50);
    expect(one.calls).toBe(callsOfOne);

    await server.kill();
    await own.waitForEvent('discovery-failed');
    await load.more(100);
    expect(listed(own)).toHaveLength(2);
    expect(await own.metric('outrigger_discovery_up', { upstream: 'agents' })).toBe(0);

    await server.start();
    await server.put('agents/one', one.url);
    await server.delete('agents/two');
    await server.compact();
    await untilListed(own, one, three);
    await load.more(50);
    await load.stop();

    expect(load.bad).toEqual([]);
    expect(load.answered).toBeGreaterThan(250);
    expect(own.eventsNamed('discovery-recovered')).toHaveLength(1);
  });

  it('are known by what their values say, and one that cannot be read costs no other', async () => {
    await using good = await Instance.start();
    await using other = await Instance.start();
    await server.ctl('del', '--prefix', 'agents/');
    await server.put('agents/good', good.url);
    await server.put('agents/other', `{ "url": "${other.url}", "status": "draining", "instance": "o-1" }`);
    await server.put('agents/bad', '{ "url": "ftp://x", "weight": "secret" }');
    await using own = await startSidecar(config([server.url]));
    await untilListed(own, good, other);
    const { endpoints } = own.sidecar.supervisor.runtime.upstreams.get('agents') ?? {};
    expect(endpoints?.members.map(({ member }) => member.state).sort()).toEqual(['available', 'draining']);

    await server.put('agents/good', 'nonsense');
    const [refused] = await own.waitForEvent('discovery-entries-refused');
    expect(refused).toMatchObject({ upstream: 'agents', count: 1 });
    expect(refused?.entries[0]).toMatch(/^agents\/good: expected an http or https URL/);
    await own.waitForLines((line) => line['upstream'] === 'agents' && line['count'] === 1);
    expect(JSON.stringify(own.logLines())).not.toMatch(/ftp:|nonsense/);
    // What it said before is as good as anything.
    expect((await request(own.port, { path: '/agents/x' })).status).toBe(200);

    await server.put('agents/more', 'http://127.0.0.1:9');
    await expect.poll(() => listed(own).length, { interval: 5 }).toBe(3);
    expect(own.eventsNamed('discovery-entries-refused')).toHaveLength(1);
  });
});
