/** Endpoints from Consul, against a stand-in that follows its documented API, over real sockets. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import { systemRandom } from '../../src/core/random.ts';
import { consul } from '../../src/discovery/consul.ts';
import { nextIndex } from '../../src/discovery/consul-client.ts';
import { endpointsOf } from '../../src/discovery/consul-services.ts';
import { foundEndpointSchema } from '../../src/schema/endpoint.ts';
import { Conditions } from '../support/conditions.ts';
import { ConsulApi } from '../support/consul-api.ts';

class Discovering {
  readonly lists: (readonly EndpointDescription[])[] = [];
  readonly failures: string[] = [];
  refused: ReadonlyMap<string, string> = new Map();
  readonly #changes = new Conditions();
  readonly #discoverer;

  constructor(options: object) {
    this.#discoverer = consul.build(consul.schema.parse({ service: 'search', ...options }), {
      clock: systemClock,
      random: systemRandom,
      upstream: 'api',
      list: {
        replace: (endpoints, refused = new Map()) => {
          this.lists.push(endpoints);
          this.refused = refused;
          this.#changes.changed();
        },
        failed: (message) => {
          this.failures.push(message);
          this.#changes.changed();
        },
      },
    });
    this.#discoverer.start();
  }

  get last(): readonly EndpointDescription[] {
    return this.lists.at(-1) ?? [];
  }

  until(holds: () => boolean): Promise<void> {
    return this.#changes.untilTrue(holds, () => JSON.stringify([this.last, this.failures]));
  }

  [Symbol.dispose](): void {
    this.#discoverer.dispose();
  }
}

const instance = (id: string, port = 9_000) => ({ id, port });

describe('discovery by Consul', () => {
  it('says how instances are, what they weigh and where they stand', async () => {
    await using api = await ConsulApi.start();
    api.setService('search', [
      { ...instance('a'), weights: { Passing: 10, Warning: 1 }, meta: { zone: 'x', caps: 'ocr' } },
      { ...instance('b', 9_001), status: 'warning', weights: { Passing: 10, Warning: 1 } },
      { ...instance('c', 9_002), status: 'critical', nodeMeta: { zone: 'y' } },
      { ...instance('d', 9_003), maintenance: 'service' },
      { ...instance('e', 9_004), maintenance: 'node', address: '::1' },
      { ...instance('f', 0) },
    ]);
    using found = new Discovering({ url: api.url, path: '/v1' });
    await found.until(() => found.lists.length > 0);
    const told = found.last.map(({ url, weight, zone, status, instance: id }) => [
      id,
      url,
      weight,
      zone,
      status,
    ]);
    expect(told).toEqual([
      ['a', 'http://127.0.0.1:9000/v1', 10, 'x', 'up'],
      ['b', 'http://127.0.0.1:9001/v1', 1, undefined, 'degraded'],
      ['c', 'http://127.0.0.1:9002/v1', 1, 'y', 'down'],
      ['d', 'http://127.0.0.1:9003/v1', 1, undefined, 'draining'],
      ['e', 'http://[::1]:9004/v1', 1, undefined, 'draining'],
    ]);
    expect(found.last[0]?.metadata).toEqual({ zone: 'x', caps: 'ocr' });
    expect([...found.refused]).toEqual([['f', 'it has no port']]);
  });

  it('asks for what was configured, and waits for what is newer', async () => {
    await using api = await ConsulApi.start();
    api.token = 'secret';
    api.setService('search', [{ ...instance('a'), tags: ['gpu', 'v2'] }, instance('b', 9_001)]);
    using found = new Discovering({
      ...{ url: `${api.url}/`, token: 'secret', tags: ['gpu', 'v2'], datacenter: 'east' },
      ...{ passingOnly: true, stale: true, poll: '10s' },
    });
    const first = await api.asked(() => true);
    expect(first.path).toBe('/v1/health/service/search');
    expect(first.params.toString()).toBe('tag=gpu&tag=v2&dc=east&passing=&stale=');
    const second = await api.asked(({ params }) => params.has('index'));
    expect([second.params.get('index'), second.params.get('wait')]).toEqual(['11', '10000ms']);
    expect(found.last.map(({ instance: id }) => id)).toEqual(['a']);
    api.setService('search', [{ ...instance('c', 9_002), tags: ['gpu', 'v2'] }]);
    await found.until(() => found.last[0]?.instance === 'c');
    expect(found.failures).toEqual([]);
  });

  it('asks for everything when the index goes backwards', async () => {
    await using api = await ConsulApi.start();
    api.setService('search', [instance('a')]);
    using found = new Discovering({ url: api.url });
    await api.asked(({ params }) => params.has('index'));
    const { length } = api.requests;
    api.resetIndex();
    const next = await api.asked(() => true, length);
    expect(next.params.has('index')).toBe(false);
    await api.asked(({ params }) => params.get('index') === '3', length);
    api.setService('search', [instance('b')]);
    await found.until(() => found.last[0]?.instance === 'b');
  });

  it('keeps silent while Consul has no leader, and is back when it has', async () => {
    await using api = await ConsulApi.start();
    api.setService('search', [instance('a')]);
    using found = new Discovering({ url: api.url });
    await found.until(() => found.lists.length === 1);
    api.broken = 500;
    api.setService('search', [instance('a'), instance('b', 9_001)]);
    await found.until(() => found.failures.length > 1);
    expect(found.failures[0]).toContain('answered 500 (rpc error: No cluster leader)');
    expect(found.lists).toHaveLength(1);
    api.broken = undefined;
    await found.until(() => found.last.length === 2);
  });

  it('says that its token does not do, without telling it', async () => {
    await using api = await ConsulApi.start();
    api.token = 'right';
    using found = new Discovering({ url: api.url, token: 'wrong-one' });
    await found.until(() => found.failures.length > 0);
    expect(found.failures[0]).toContain('answered 403 (Permission denied');
    expect(found.failures[0]).not.toContain('wrong-one');
  });

  it('does not hurry where answers have no index', async () => {
    await using api = await ConsulApi.start();
    api.withoutIndex = true;
    using found = new Discovering({ url: api.url });
    await found.until(() => found.lists.length === 1);
    api.setService('search', [instance('a')]);
    // Answering something else takes longer than asking again at once would.
    for (let n = 0; n < 20; n++) await fetch(`${api.url}/v1/kv/other`);
    expect(api.requests.filter(({ path }) => path.includes('health'))).toHaveLength(1);
  });

  it('asks again and again, but no more often than it may, while everything changes', async () => {
    await using api = await ConsulApi.start();
    using found = new Discovering({ url: api.url });
    const startedAt = performance.now();
    for (let n = 1; n <= 40; n++) {
      api.setService('search', [instance('a', 9_000 + n)]);
      await fetch(`${api.url}/v1/kv/other`);
    }
    await found.until(() => found.last[0]?.url === 'http://127.0.0.1:9040');
    const rounds = (performance.now() - startedAt) / 200;
    expect(api.requests.filter(({ path }) => path.includes('health')).length).toBeLessThan(rounds + 3);
  });
});

describe('the index of the next question', () => {
  it.each([
    [0, '5', 5],
    [5, '5', 5],
    [5, '9', 9],
    [9, '5', 0],
    [9, '0', 0],
    [9, undefined, 0],
    [9, 'x', 0],
    [9, '-1', 0],
  ])('after %i and %s is %i', (previous, header, expected) => {
    expect(nextIndex(previous, header)).toBe(expected);
  });
});

describe('an answer of Consul', () => {
  const reading = { scheme: 'https', path: '', zoneKey: 'zone' } as const;

  it('that is no list is none', () => {
    expect(endpointsOf({ error: 'x' }, reading)).toBeUndefined();
  });

  it('is the same list in whatever order it comes, also where nodes give out the same id', () => {
    const on = (address: string) => ({ Node: { Address: address }, Service: { ID: 'web', Port: 80 } });
    const [one, other] = [on('10.0.0.1'), on('10.0.0.2')];
    expect(endpointsOf([other, one], reading)).toEqual(endpointsOf([one, other], reading));
  });

  it('can be kept, whatever its ids and zones are', () => {
    const long = 'x'.repeat(500);
    const entry = { Node: { Address: '10.0.0.1', Meta: { zone: long } }, Service: { ID: long, Port: 80 } };
    const found = endpointsOf([entry], reading)?.endpoints[0];
    expect(foundEndpointSchema.safeParse(found).success).toBe(true);
  });

  it('loses only the entries that are none', () => {
    const good = { Node: { Address: '10.0.0.1' }, Service: { ID: 'a', Address: '', Port: 1 }, Checks: null };
    const read = endpointsOf([null, { Service: {} }, good], reading);
    expect(read?.endpoints).toEqual([
      { url: 'https://10.0.0.1:1', weight: 1, status: 'up', instance: 'a', metadata: {} },
    ]);
    expect([...(read?.refused.keys() ?? [])]).toEqual(['[0]', '[1]']);
  });
});
