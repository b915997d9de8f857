/** What a real etcd says seldom, or only through a proxy: answers that are told to a client and a follower one by one. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { EtcdClient } from '../../src/discovery/etcd-client.ts';
import { EtcdFollower } from '../../src/discovery/etcd-follower.ts';
import { HttpClient } from '../../src/transport/http-client.ts';
import { Conditions } from '../support/conditions.ts';
import { closedPort } from '../support/dead-ports.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const header = (revision: number | undefined) => ({
  header: { cluster_id: '1', ...(revision !== undefined && { revision: String(revision) }) },
});

const rangeAt = (revision: number | undefined, value: string): object => ({
  ...header(revision),
  kvs: [{ key: base64('k'), value: base64(value), mod_revision: '1' }],
});

const created = (revision: number | undefined): object => ({
  result: { ...header(revision), created: true },
});

const change = (revision: number, value: string): object => ({
  result: {
    ...header(revision),
    events: [{ kv: { key: base64('k'), value: base64(value), mod_revision: String(revision) } }],
  },
});

/** A gateway that says what it is told to: the last words again and again. Watches stay open after theirs. */
class Gateway {
  readonly asked: string[] = [];
  ranges: object[] = [];
  watches: (string | object)[][] = [];
  #url = '';

  async start(): Promise<this> {
    const server = createServer((request, response) => {
      const path = request.url ?? '';
      this.asked.push(path);
      if (path === '/v3/kv/range') return void response.end(JSON.stringify(next(this.ranges)));
      for (const line of next(this.watches))
        response.write(typeof line === 'string' ? line : `${JSON.stringify(line)}\n`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close().closeAllConnections());
    this.#url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return this;
  }

  get url(): string {
    return this.#url;
  }

  countOf(path: string): number {
    return this.asked.filter((one) => one === path).length;
  }
}

const next = <T>(list: T[]): T => (list.length > 1 ? list.shift() : list[0]) as T;

async function follow(ranges: object[], watches: (string | object)[][]) {
  const gateway = await new Gateway().start();
  Object.assign(gateway, { ranges, watches });
  const changes = new Conditions();
  const http = new HttpClient({ clock: systemClock });
  const [values, failures] = [[] as (string | undefined)[], [] as string[]];
  const follower = new EtcdFollower(
    new EtcdClient({ endpoints: [gateway.url] }, http),
    { key: 'k', prefix: false },
    {
      clock: systemClock,
      random: { next: () => 0.1 },
      onEntries: (entries) => {
        values.push(entries.get('k'));
        changes.changed();
      },
      onFailed: (message) => {
        failures.push(message.replace(gateway.url, ''));
        changes.changed();
      },
    },
  );
  onTestFinished(() => {
    follower.dispose();
    http.dispose();
  });
  follower.start();
  const until = (holds: () => boolean): Promise<void> =>
    changes.untilTrue(holds, () => JSON.stringify({ values, failures, asked: gateway.asked }));
  return { gateway, values, failures, until };
}

describe('a follower of keys in etcd', () => {
  it.each([
    ['without a reason', { result: { ...header(5), canceled: true } }, 'no reason given'],
    [
      'because there is no leader',
      { error: { grpc_code: 14, message: 'etcdserver: no leader' } },
      'etcdserver: no leader',
    ],
    [
      'because of a token that ran out',
      { result: { ...header(5), canceled: true, cancel_reason: 'auth: invalid auth token' } },
      'invalid auth token',
    ],
  ])('reads all anew where a watch is ended %s', async (_, end, why) => {
    const { values, failures, until } = await follow(
      [rangeAt(5, 'old'), rangeAt(9, 'new')],
      [[created(5), end], [created(9)]],
    );
    await until(() => values.at(-1) === 'new');
    expect(failures).toEqual([
      `etcd: /v3/watch: the watch was cancelled (${failures[0]?.split('(')[1] ?? ''}`,
    ]);
    expect(failures[0]).toContain(why);
  });

  it('says that it does not understand a line, without what stands in it, and reads all anew', async () => {
    const { values, failures, until } = await follow(
      [rangeAt(5, 'old'), rangeAt(9, 'new')],
      [[created(5), 'sk-secret is no JSON\n'], [created(9)]],
    );
    await until(() => values.at(-1) === 'new');
    expect(failures).toEqual(['etcd: /v3/watch: expected a line of JSON']);
  });

  it('waits for the other half of a line', async () => {
    const line = JSON.stringify(change(6, 'new'));
    const { values, failures, until } = await follow(
      [rangeAt(5, 'old')],
      [[created(5), line.slice(0, 20), `${line.slice(20)}\n`]],
    );
    await until(() => values.at(-1) === 'new');
    expect(failures).toEqual([]);
  });

  it('goes on where messages do not tell the revision of the store', async () => {
    const { gateway, values, failures, until } = await follow(
      [rangeAt(5, 'old')],
      [[created(undefined), change(6, 'new')]],
    );
    await until(() => values.at(-1) === 'new');
    expect([failures, gateway.asked]).toEqual([[], ['/v3/kv/range', '/v3/watch']]);
  });

  it('watches nothing where a reading does not tell its revision', async () => {
    const { gateway, values, failures, until } = await follow([rangeAt(undefined, 'old')], [[]]);
    await until(() => failures.length > 1);
    expect(failures[0]).toBe('etcd: /v3/kv/range: there is no revision in the answer');
    expect([values, gateway.countOf('/v3/watch')]).toEqual([[], 0]);
  });

  it('takes its time, and says so, where no watch goes on from what was read', async () => {
    const forgotten = { result: { ...header(5), canceled: true, compact_revision: '7' } };
    const { failures, until } = await follow([rangeAt(5, 'old')], [[created(5), forgotten]]);
    await until(() => failures.length > 1);
    expect(failures[0]).toBe('etcd: watches do not go on from where all was read');
  });
});

it('of two who ask at once each asks every member of the cluster', async () => {
  await using gone = await closedPort();
  const there = await new Gateway().start();
  there.ranges = [rangeAt(1, 'x')];
  const http = new HttpClient({ clock: systemClock });
  onTestFinished(() => http.dispose());
  const client = new EtcdClient({ endpoints: [`http://127.0.0.1:${gone.port}`, there.url] }, http);
  const keys = { key: 'k', prefix: false };
  const both = await Promise.all([client.range(keys), client.range(keys)]);
  expect(both.map(({ entries }) => entries.length)).toEqual([1, 1]);
});
