/** What becomes of a watch of a real etcd that breaks, misses something or only seems to stand. */
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { EtcdClient } from '../../src/discovery/etcd-client.ts';
import { EtcdFollower } from '../../src/discovery/etcd-follower.ts';
import { HttpClient } from '../../src/transport/http-client.ts';
import { Conditions } from '../support/conditions.ts';
import { hasEtcd, startEtcd } from '../support/etcd-server.ts';
import type { EtcdServer } from '../support/etcd-server.ts';

const KEYS = { key: 'f/', prefix: true };

class Followed {
  readonly changes = new Conditions();
  readonly failures: string[] = [];
  readonly ranges: string[] = [];
  /** While set, no watch can be opened. */
  cut = false;
  entries: Readonly<Record<string, string>> | undefined;
  readonly #http = new HttpClient({ clock: systemClock });
  readonly #follower: EtcdFollower;

  constructor(server: EtcdServer, refreshMs?: number) {
    const client = new EtcdClient({ endpoints: [server.url], timeoutMs: 500 }, this.#http);
    const deps = {
      clock: systemClock,
      random: systemRandom,
      onEntries: (entries: ReadonlyMap<string, string>) => {
        this.entries = Object.fromEntries(entries);
        this.changes.changed();
      },
      onFailed: (message: string) => {
        this.failures.push(message);
        this.changes.changed();
      },
    };
    this.#follower = new EtcdFollower(this.#watched(client), KEYS, deps, refreshMs);
    this.#follower.start();
  }

  until(wanted: Readonly<Record<string, string>>): Promise<void> {
    const text = JSON.stringify(wanted);
    return this.changes.untilTrue(
      () => JSON.stringify(this.entries) === text,
      () => `${text}; there is ${JSON.stringify(this.entries)}, ${this.failures.join('; ')}`,
      { timeoutMs: 10_000 },
    );
  }

  untilFailure(): Promise<void> {
    return this.changes.untilTrue(
      () => this.failures.length > 0,
      () => 'a failure',
    );
  }

  [Symbol.dispose](): void {
    this.#follower.dispose();
    this.#http.dispose();
  }

  #watched(client: EtcdClient): EtcdClient {
    const open = client.watch.bind(client);
    client.watch = (keys, from, signal) => {
      if (this.cut) throw new Error('cut off');
      return open(keys, from, signal);
    };
    const range = client.range.bind(client);
    client.range = (...args) => {
      this.ranges.push('range');
      return range(...args);
    };
    return client;
  }
}

describe.skipIf(!hasEtcd)('a follower of keys in etcd', { timeout: 20_000 }, () => {
  let server: EtcdServer;
  beforeAll(async () => {
    server = await startEtcd();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(() => server.put('f/a', '1'));
  afterEach(async () => {
    await server.ctl('del', '--prefix', 'f/');
  });

  it('hears of every change, beginning with what stands there, from one reading', async () => {
    using followed = new Followed(server);
    await followed.until({ 'f/a': '1' });
    await server.put('f/b', '2');
    await followed.until({ 'f/a': '1', 'f/b': '2' });
    await server.delete('f/a');
    await followed.until({ 'f/b': '2' });
    expect(followed.ranges).toHaveLength(1);
    expect(followed.failures).toEqual([]);
  });

  it('keeps what it knows while etcd is away, and goes on where it was without reading all anew', async () => {
    using followed = new Followed(server);
    await followed.until({ 'f/a': '1' });
    await server.kill();
    await followed.untilFailure();
    expect(followed.entries).toEqual({ 'f/a': '1' });
    await server.start();
    await server.put('f/b', '2');
    await followed.until({ 'f/a': '1', 'f/b': '2' });
    expect(followed.ranges).toHaveLength(1);
  });

  it('reads all anew when what it missed is compacted', async () => {
    using followed = new Followed(server);
    await followed.until({ 'f/a': '1' });
    followed.cut = true;
    await server.kill();
    await server.start();
    await followed.untilFailure();
    await server.put('f/b', '2');
    await server.delete('f/a');
    await server.put('f/c', '3');
    await server.compact();
    followed.cut = false;
    await followed.until({ 'f/b': '2', 'f/c': '3' });
    expect(followed.ranges.length).toBeGreaterThan(1);
  });

  it('reads all anew from a store that begins again at lower revisions', async () => {
    for (let n = 0; n < 5; n++) await server.put('f/a', String(n));
    using followed = new Followed(server);
    await followed.until({ 'f/a': '4' });
    await server.wipe();
    await server.start();
    await server.put('f/new', '1');
    await followed.until({ 'f/new': '1' });
  });

  it('finds a silent etcd out, and hears of it when it speaks again', async () => {
    using followed = new Followed(server, 100);
    await followed.until({ 'f/a': '1' });
    server.freeze();
    await followed.untilFailure();
    expect(followed.failures[0]).toContain('no answer within 500 ms');
    server.thaw();
    await server.put('f/a', '2');
    await followed.until({ 'f/a': '2' });
  });
});
