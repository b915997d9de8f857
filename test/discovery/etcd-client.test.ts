/** What is said to a real etcd, and what it says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { EtcdClient } from '../../src/discovery/etcd-client.ts';
import type { EtcdOptions } from '../../src/discovery/etcd-client.ts';
import { rangeEnd } from '../../src/discovery/etcd-messages.ts';
import type { EtcdWatched } from '../../src/discovery/etcd-messages.ts';
import { linesOf } from '../../src/discovery/json-lines.ts';
import { HttpClient } from '../../src/transport/http-client.ts';
import { closedPort } from '../support/dead-ports.ts';
import { hasEtcd, startEtcd } from '../support/etcd-server.ts';
import type { EtcdServer } from '../support/etcd-server.ts';
import { testCa } from '../support/tls/identities.ts';

const http = new HttpClient({ clock: systemClock });
afterAll(() => http.dispose());

const clientOf = (options: EtcdOptions): EtcdClient => new EtcdClient(options, http);

async function next(watch: AsyncGenerator<EtcdWatched>): Promise<EtcdWatched> {
  const { value } = (await watch.next()) as { value: EtcdWatched };
  return value;
}

const never = (): AbortSignal => new AbortController().signal;

describe.skipIf(!hasEtcd)('towards a real etcd', () => {
  let server: EtcdServer;
  let client: EtcdClient;
  beforeAll(async () => {
    server = await startEtcd();
    client = clientOf({ endpoints: [server.url] });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('reads what begins with a prefix, and nothing beside it', async () => {
    await client.put('p/a', 'one');
    await client.put('p/ä', '');
    await client.put('p0', 'beside');
    const { entries } = await client.range({ key: 'p/', prefix: true });
    expect(entries.map(({ key, value }) => [key, value])).toEqual([
      ['p/a', 'one'],
      ['p/ä', ''],
    ]);
  });

  it('watches from a revision on, deletions included', async () => {
    await client.put('w/a', '1');
    const keys = { key: 'w/', prefix: true };
    const { revision } = await client.range(keys);
    await client.put('w/a', '2');
    await client.delete({ key: 'w/a', prefix: false });
    const watch = client.watch(keys, revision + 1, never());
    expect(await next(watch)).toMatchObject({ created: true, entries: [] });
    const { entries } = await next(watch);
    expect(entries).toEqual([
      { key: 'w/a', value: '2', revision: revision + 1 },
      { key: 'w/a', value: undefined, revision: revision + 2 },
    ]);
    await watch.return(undefined);
  });

  it('says that the revisions asked for are compacted', async () => {
    await client.put('c/a', '1');
    await client.put('c/a', '2');
    await server.compact();
    const watch = client.watch({ key: 'c/', prefix: true }, 2, never());
    await next(watch);
    expect(await next(watch)).toMatchObject({ compacted: true });
    await watch.return(undefined);
  });

  it('hangs values on leases, and hears when one is gone', async () => {
    const lease = await client.grant(60);
    await client.put('l/a', 'x', { lease });
    expect(await client.keepAlive(lease)).toBe(true);
    await client.revoke(lease);
    await client.revoke(lease);
    expect(await client.keepAlive(lease)).toBe(false);
    expect((await client.range({ key: 'l/', prefix: true })).entries).toEqual([]);
  });

  it('asks the next member where one is away, and stays with it', async () => {
    await using gone = await closedPort();
    const cluster = clientOf({ endpoints: [`http://127.0.0.1:${gone.port}`, server.url] });
    await cluster.put('m/a', 'x');
    expect((await cluster.range({ key: 'm/a', prefix: false })).entries).toHaveLength(1);
  });

  it('says which member did not answer', async () => {
    await using gone = await closedPort();
    const url = `http://127.0.0.1:${gone.port}`;
    await expect(clientOf({ endpoints: [url] }).put('a', 'b')).rejects.toThrow(`etcd: POST ${url}/v3/kv/put`);
  });
});

describe.skipIf(!hasEtcd)('towards an etcd that wants to know who asks', () => {
  let server: EtcdServer;
  beforeAll(async () => {
    server = await startEtcd();
    for (const line of [
      ['user', 'add', 'root:rootpw'],
      ['user', 'grant-role', 'root', 'root'],
      ['user', 'add', 'joe:secret'],
      ['role', 'add', 'reader'],
      ['role', 'grant-permission', 'reader', '--prefix=true', 'read', 'p/'],
      ['user', 'grant-role', 'joe', 'reader'],
    ])
      await server.ctl(...line);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const keys = { key: 'p/', prefix: true };

  it('goes without a token while none is wanted, gets one once it is, and another when that ran out', async () => {
    const client = clientOf({ endpoints: [server.url], user: 'joe', password: 'secret' });
    await client.range(keys);
    await server.ctl('auth', 'enable');
    await client.range(keys);
    // It knows the tokens that it gave by heart only.
    await server.kill();
    await server.start();
    await expect(client.range(keys)).resolves.toMatchObject({ entries: [] });
    const watch = client.watch(keys, 1, never());
    expect(await next(watch)).toMatchObject({ created: true });
    await watch.return(undefined);
  });

  it('fails with what etcd says, and never with the password', async () => {
    const wrong = clientOf({ endpoints: [server.url], user: 'joe', password: 'open sesame' });
    await expect(wrong.range(keys)).rejects.toThrow(/invalid user ID or password/);
    await expect(wrong.range(keys)).rejects.not.toThrow(/open sesame/);
    const nobody = clientOf({ endpoints: [server.url] });
    await expect(nobody.range(keys)).rejects.toThrow(/user name is empty/);
  });
});

describe.skipIf(!hasEtcd)('towards an etcd with TLS', () => {
  it('trusts the authority that it was given, and no other', async () => {
    await using server = await startEtcd({ tls: 'server' });
    const trusting = new HttpClient({ clock: systemClock, tls: { ca: testCa } });
    await new EtcdClient({ endpoints: [server.url] }, trusting).put('a', 'b');
    await expect(clientOf({ endpoints: [server.url] }).put('a', 'b')).rejects.toThrow(/etcd: POST https/);
    trusting.dispose();
  });
});

describe('the messages', () => {
  it('ends a range behind the last key with the prefix', () => {
    expect(rangeEnd('a/')).toEqual({ key: 'YS8=', range_end: 'YTA=' });
    expect(rangeEnd('')).toEqual({ key: 'AA==', range_end: 'AA==' });
  });

  it('come out the same wherever the stream was cut', async () => {
    const text = Buffer.from('{"a":"ä"}\n\n{"b":2}\n{"cut');
    for (let cut = 0; cut <= text.length; cut++) {
      const lines: string[] = [];
      const chunks = (async function* () {
        yield* [text.subarray(0, cut), text.subarray(cut)];
      })();
      for await (const line of linesOf(chunks, 100)) lines.push(line);
      expect(lines).toEqual(['{"a":"ä"}', '{"b":2}']);
    }
  });

  it('are not kept beyond a bound', async () => {
    const chunks = (async function* () {
      for (;;) yield Buffer.alloc(60);
    })();
    await expect(linesOf(chunks, 100).next()).rejects.toThrow('longer than 100 bytes');
  });
});
