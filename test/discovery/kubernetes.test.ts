import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import { kubernetes, kubernetesSchema } from '../../src/discovery/kubernetes.ts';
import { startKubernetesApi } from '../support/kubernetes-api.ts';
import type { ApiStubOptions, KubernetesApiStub, StubSlice } from '../support/kubernetes-api.ts';
import { tlsFile } from '../support/tls/identities.ts';
import { RecordingList } from './recording-list.ts';

type Written = Partial<z.input<typeof kubernetesSchema>>;

/** Waits hardly at all where the code waits to spare the server. */
const hasty: Clock = {
  ...systemClock,
  setBackgroundTimer: (ms, fn) => systemClock.setBackgroundTimer(ms / 10, fn),
};

class Rig implements AsyncDisposable {
  readonly api: KubernetesApiStub;
  readonly list = new RecordingList();
  readonly discoverer;
  readonly folder = mkdtempSync(join(tmpdir(), 'outrigger-kubernetes-'));

  constructor(api: KubernetesApiStub, options: Written, clock: Clock) {
    this.api = api;
    if (api.token !== undefined) this.writeToken(api.token);
    this.discoverer = kubernetes.build(
      kubernetesSchema.parse({
        ...{ service: 'agents', namespace: 'default', apiServer: api.origin },
        ...(api.token !== undefined && { tokenFile: this.tokenFile }),
        ...options,
      }),
      // The middle: delays are neither short nor long.
      { clock, random: { next: () => 0.5 }, list: this.list, upstream: 'agents' },
    );
  }

  get tokenFile(): string {
    return join(this.folder, 'token');
  }

  writeToken(token: string): void {
    writeFileSync(this.tokenFile, `${token}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.discoverer.dispose();
    await this.api.stop();
    rmSync(this.folder, { recursive: true });
  }
}

async function rig(
  slices: readonly StubSlice[],
  {
    options = {},
    stub = {},
    clock = hasty,
  }: { options?: Written; stub?: ApiStubOptions; clock?: Clock } = {},
): Promise<Rig> {
  const one = new Rig(await startKubernetesApi(stub), options, clock);
  for (const slice of slices) one.api.put(slice);
  one.discoverer.start();
  return one;
}

const slice = (name: string, ...last: readonly number[]): StubSlice => ({
  name,
  endpoints: last.map((one) => ({ address: `10.0.0.${one}`, pod: `pod-${one}` })),
});
const url = (last: number): string => `http://10.0.0.${last}:8080`;

describe('the list', () => {
  it('is read once, and then follows every change', async () => {
    await using one = await rig([slice('a', 1, 2)]);
    await one.list.become(url(1), url(2));
    await one.api.waitForWatches(1);
    one.api.put(slice('b', 3));
    await one.list.become(url(1), url(2), url(3));
    one.api.put(slice('a', 2));
    await one.list.become(url(2), url(3));
    one.api.delete('b');
    await one.list.become(url(2));
    expect([one.api.lists.length, one.api.watches.length]).toEqual([1, 1]);
  });

  it('is of one Service', async () => {
    await using one = await rig([slice('a', 1), { ...slice('b', 2), service: 'other' }]);
    await one.list.become(url(1));
    expect(one.list.last).toMatchObject([
      { hostName: 'agents.default.svc', instance: 'pod-1', status: 'up' },
    ]);
  });

  it('is read in pages', async () => {
    await using one = new Rig(await startKubernetesApi(), {}, hasty);
    one.api.pageSize = 2;
    for (const i of [1, 2, 3, 4, 5]) one.api.put(slice(`s${i}`, i));
    one.discoverer.start();
    await one.list.become(...[1, 2, 3, 4, 5].map(url));
    expect(one.api.lists).toHaveLength(3);
  });

  it('is empty where the Service has no pods', async () => {
    await using one = await rig([]);
    await one.list.become();
    expect(one.list.failures).toEqual([]);
  });
});

describe('a watch', () => {
  it('goes on where the one before ended, without a new list', async () => {
    await using one = await rig([slice('a', 1)]);
    await one.api.waitForWatches(1);
    one.api.put(slice('b', 2));
    await one.list.become(url(1), url(2));
    one.api.bookmark();
    one.api.endWatches('cleanly');
    await one.api.waitForWatches(2);
    expect(one.api.watches[1]?.query.get('resourceVersion')).toBe('103');
    one.api.put(slice('c', 3));
    await one.list.become(url(1), url(2), url(3));
    expect([one.api.lists.length, one.list.failures]).toEqual([1, []]);
  });

  it('may break off without a loss: what happened meanwhile is told by the next', async () => {
    await using one = await rig([slice('a', 1)]);
    await one.api.waitForWatches(1);
    one.api.endWatches('abruptly');
    one.api.put(slice('b', 2));
    await one.list.become(url(1), url(2));
    expect([one.api.lists.length, one.list.failures]).toEqual([1, []]);
  });

  it.each([true, false])('that is too far behind is followed by a new list (told: %s)', async (tell) => {
    await using one = await rig([slice('a', 1)]);
    await one.api.waitForWatches(1);
    one.api.putSilently(slice('b', 2));
    one.api.compact({ tell });
    if (!tell) one.api.endWatches('cleanly');
    await one.list.become(url(1), url(2));
    expect(one.list.failures).toEqual([]);
  });

  it('is asked for with bookmarks and for a limited time', async () => {
    await using one = await rig([], { options: { watchTimeout: '40s' } });
    await one.api.waitForWatches(1);
    const query = one.api.watches[0]?.query;
    expect(query?.get('allowWatchBookmarks')).toBe('true');
    expect(query?.get('timeoutSeconds')).toBe('50');
  });

  it('that the server forgets is given up by itself', async () => {
    // 1.25 s and the grace of 10 s, ten times as fast.
    await using one = await rig([slice('a', 1)], { options: { watchTimeout: '1s' } });
    await one.api.waitForWatches(2);
    expect(one.list.failures).toEqual([]);
  });

  it('that says what nobody understands is told of, and followed by a new list', async () => {
    await using one = await rig([slice('a', 1)]);
    await one.api.waitForWatches(1);
    one.api.writeRaw('{"type":"SURPRISE","object":{}}\n');
    await one.api.waitForLists(2);
    expect(one.list.failures[0]).toContain('not a watch event');
    expect(one.list.urls).toEqual([url(1)]);
  });
});

describe('the API server', () => {
  it('may be away: the list stays, and is right again when it is back', async () => {
    await using one = await rig([slice('a', 1)]);
    await one.list.become(url(1));
    await one.api.stop();
    await one.list.told(one.list.count + 2);
    expect(one.list.urls).toEqual([url(1)]);
    one.api.put(slice('a', 2));
    await one.api.start();
    await one.list.become(url(2));
  });

  it('gets the token as it is in the file now', async () => {
    await using one = await rig([slice('a', 1)], { stub: { token: 'first' } });
    await one.list.become(url(1));
    await one.api.waitForWatches(1);
    one.api.token = 'second';
    one.writeToken('second');
    one.api.endWatches('cleanly');
    await one.api.waitForWatches(2);
    expect(one.api.watches.at(-1)?.authorization).toBe('Bearer second');
    expect(one.list.failures).toEqual([]);
  });

  it('that refuses is told of with its reason and never with the token', async () => {
    await using one = new Rig(await startKubernetesApi({ token: 'secret' }), {}, hasty);
    one.api.refuseWith = { status: 403 };
    one.discoverer.start();
    await one.list.told(1);
    expect(one.list.failures[0]).toBe(
      'EndpointSlices of default/agents: the Kubernetes API answered 403 (may the service account list and watch endpointslices?) refused with 403',
    );
  });

  it('that finds also every new list too old is told of, and spared', async () => {
    await using one = new Rig(await startKubernetesApi(), {}, hasty);
    one.api.refuseWith = { status: 410 };
    one.discoverer.start();
    await one.list.told(2);
    expect(one.list.failures[0]).toBe(
      'EndpointSlices of default/agents: the Kubernetes API answered 410: what it is asked for is too old',
    );
    expect([one.api.lists.length, one.list.lists]).toEqual([3, []]);
  });

  it('that asks to be left alone is', async () => {
    const delays: number[] = [];
    const clock: Clock = {
      ...hasty,
      setBackgroundTimer: (ms, fn) => {
        delays.push(ms);
        return hasty.setBackgroundTimer(ms, fn);
      },
    };
    await using one = new Rig(await startKubernetesApi(), {}, clock);
    one.api.refuseWith = { status: 429, headers: { 'retry-after': '7' } };
    one.discoverer.start();
    await one.list.told(2);
    expect(delays).toContain(7_000);
  });

  it('is trusted by the roots that the file names', async () => {
    const tls = { identity: 'server' } as const;
    const trusting = { caFile: tlsFile('ca.cert.pem') };
    await using one = await rig([slice('a', 1)], { stub: { tls, token: 'secret' }, options: trusting });
    await one.list.become(url(1));
    const others = { caFile: tlsFile('self-signed.cert.pem') };
    await using other = await rig([slice('a', 1)], { stub: { tls, token: 'secret' }, options: others });
    await other.list.told(1);
    expect(other.list.failures[0]).toMatch(/certificate/i);
  });

  it('is not asked where what the pod needs for it is missing', async () => {
    await using one = await rig([], { options: { tokenFile: '/nowhere/token' } });
    await one.list.told(1);
    expect(one.list.failures[0]).toMatch(/^\/nowhere\/token cannot be read/);
    expect(one.api.lists).toEqual([]);
  });
});

it('leaves nothing running when it is disposed of', async () => {
  await using one = await rig([slice('a', 1)]);
  await one.api.waitForWatches(1);
  await one.list.become(url(1));
  one.discoverer.dispose();
  one.discoverer.dispose();
  const { count } = one.list;
  await one.api.stop();
  expect(one.list.count).toBe(count);
});
