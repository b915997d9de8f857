import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import type { TimerHandle } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import { dns, dnsSchema } from '../../src/discovery/dns.ts';
import { startDnsServer } from '../support/dns-server.ts';
import type { DnsServer, Manner } from '../support/dns-server.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { RecordingList } from './recording-list.ts';

type Written = Partial<z.input<typeof dnsSchema>>;

const NAME = 'agents.test';
const url = (last: number): string => `http://10.0.0.${last}:80`;

/** Remembers for how long it was asked to wait in the background. */
class WatchedClock extends FakeClock {
  readonly delays: number[] = [];

  override setBackgroundTimer(ms: number, fn: () => void): TimerHandle {
    this.delays.push(ms);
    return super.setBackgroundTimer(ms, fn);
  }
}

/** A discoverer on a real server, with time that stands still unless it is moved. */
class Rig implements AsyncDisposable {
  readonly clock = new WatchedClock();
  readonly list = new RecordingList();
  readonly server: DnsServer;
  readonly discoverer;

  constructor(server: DnsServer, options: Written) {
    this.server = server;
    const written = {
      name: NAME,
      resolver: [server.address],
      ...(options.type === 'srv' ? {} : { port: 80 }),
    };
    this.discoverer = dns.build(dnsSchema.parse({ ...written, ...options }), {
      clock: this.clock,
      random: seededRandom(1),
      list: this.list,
      upstream: 'agents',
    });
  }

  addresses(...last: readonly number[]): void {
    this.server.setAddresses(
      NAME,
      last.map((one) => `10.0.0.${one}`),
      10,
    );
  }

  /** Lets time pass until it asks again, and waits for what it says then. */
  async next(): Promise<void> {
    const { count } = this.list;
    // Exactly as much: the answer comes over a real socket, and its timeout must not come first.
    await this.clock.advance(this.clock.delays.at(-1) ?? 0);
    await this.list.told(count + 1);
  }

  /** Lets it ask again and again for at least so long. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    while (this.clock.now() < until) await this.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.discoverer.dispose();
    await this.server.stop();
  }
}

async function rig(options: Written = {}, ...addresses: readonly number[]): Promise<Rig> {
  const one = new Rig(await startDnsServer(), options);
  if (addresses.length > 0) one.addresses(...addresses);
  one.discoverer.start();
  await one.list.told(1);
  return one;
}

describe('when it asks again', () => {
  it('is when the time to live is over, and not before', async () => {
    await using one = await rig({}, 1);
    one.addresses(1, 2);
    expect(one.clock.delays.at(-1)).toBeGreaterThanOrEqual(10_000);
    expect(one.clock.delays.at(-1)).toBeLessThanOrEqual(11_000);
    await one.pass(1);
    expect(one.list.urls).toEqual([url(1), url(2)]);
  });

  it('is not earlier than the shortest refresh, nor later than the longest', async () => {
    for (const [ttl, waits] of [
      [0, 5_000],
      [86_400, 60_000],
    ] as const) {
      await using one = new Rig(await startDnsServer(), { maxRefresh: '60s' });
      one.server.setAddresses(NAME, ['10.0.0.1'], ttl);
      one.discoverer.start();
      await one.list.told(1);
      expect(one.clock.delays.at(-1)).toBeGreaterThanOrEqual(waits);
      expect(one.clock.delays.at(-1)).toBeLessThanOrEqual(waits * 1.1);
    }
  });

  it('is later and later while nobody answers, and never in step with others', async () => {
    await using one = new Rig(await startDnsServer(), {});
    one.server.manner = 'refused';
    one.discoverer.start();
    await one.list.told(1);
    for (let i = 1; i < 8; i++) await one.next();
    const waits = one.clock.delays;
    expect(waits).toHaveLength(8);
    for (const [i, wait] of waits.entries()) {
      const full = Math.min(30_000, 1_000 * 2 ** i);
      expect(wait).toBeGreaterThanOrEqual(full / 2);
      expect(wait).toBeLessThanOrEqual(full);
    }
    expect(new Set(waits.slice(-3)).size).toBeGreaterThan(1);
  });

  it('is never, once it is disposed', async () => {
    await using one = await rig({}, 1);
    one.discoverer.dispose();
    expect(one.clock.pendingTimers).toBe(0);
  });

  it('is never, when it is disposed while it asks', async () => {
    await using one = new Rig(await startDnsServer(), {});
    one.server.manner = 'silent';
    one.discoverer.start();
    await one.server.waitForQuestions(1);
    one.discoverer.dispose();
    await one.clock.advance(100_000);
    expect([one.clock.pendingTimers, one.list.count, one.server.questions.length]).toEqual([0, 0, 1]);
  });
});

describe('a flapping server', () => {
  it.each(['servfail', 'refused'] as const)('that says %s takes nothing away', async (manner: Manner) => {
    await using one = await rig({}, 1, 2);
    one.server.manner = manner;
    await one.next();
    await one.pass(300_000);
    expect(one.list.lists).toHaveLength(1);
    expect(one.list.failures.length).toBeGreaterThan(9);
    one.server.manner = 'answer';
    one.addresses(2, 3);
    await one.next();
    expect(one.list.urls).toEqual([url(1), url(2), url(3)]);
  });

  it('that dies takes nothing away, and is asked again when it is back', async () => {
    await using one = await rig({}, 1);
    await one.server.stop();
    await one.next();
    expect(one.list.failures).toHaveLength(1);
    await one.server.start();
    one.addresses(1, 2);
    await one.next();
    expect(one.list.urls).toEqual([url(1), url(2)]);
  });

  it('that tells its addresses in turns loses none of them', async () => {
    await using one = await rig({}, 1, 2, 3, 4);
    one.server.perAnswer = 3;
    for (let i = 0; i < 20; i++) await one.next();
    expect(one.list.urls).toEqual([url(1), url(2), url(3), url(4)]);
  });

  it('that does not know the name any more is believed after the grace', async () => {
    await using one = await rig({}, 1);
    one.server.remove(NAME);
    await one.next();
    expect([one.list.urls, one.list.failures]).toEqual([[url(1)], ['there is no name agents.test']]);
    await one.pass(30_000);
    expect(one.list.urls).toEqual([]);
    one.addresses(2);
    await one.next();
    expect(one.list.urls).toEqual([url(2)]);
  });

  it('that did not know the name for a moment is forgotten', async () => {
    await using one = await rig({}, 1);
    one.server.remove(NAME);
    await one.next();
    one.addresses(1);
    await one.next();
    one.server.remove(NAME);
    await one.next();
    expect(one.list.urls).toEqual([url(1)]);
  });
});

describe('an address that is gone', () => {
  it('goes as soon as the grace is over, whatever the time to live', async () => {
    await using one = new Rig(await startDnsServer(), { grace: '30s', minRefresh: '1s' });
    one.server.setAddresses(NAME, ['10.0.0.1', '10.0.0.2'], 60);
    one.discoverer.start();
    await one.list.told(1);
    one.server.setAddresses(NAME, ['10.0.0.1'], 60);
    await one.next();
    expect(one.list.urls).toEqual([url(1), url(2)]);
    await one.next();
    expect(one.list.urls).toEqual([url(1)]);
  });

  it('goes with the first answer where there is no grace', async () => {
    await using one = await rig({ grace: '0s' }, 1, 2);
    one.addresses(2);
    await one.next();
    expect(one.list.urls).toEqual([url(2)]);
    one.server.remove(NAME);
    await one.next();
    expect(one.list.urls).toEqual([]);
  });
});

describe('what the endpoints are', () => {
  it('has the name for the Host field and the certificate', async () => {
    await using one = await rig({ scheme: 'https', port: 8443, basePath: '/v1' }, 1);
    expect(one.list.last).toEqual([
      { url: 'https://10.0.0.1:8443/v1', hostName: NAME, weight: 1, priority: 0 },
    ]);
    await using other = await rig({ name: 'Agents.Test.', hostName: 'api.example.com' }, 1);
    expect(other.list.last).toMatchObject([{ hostName: 'api.example.com' }]);
  });

  it('has the weights and priorities of SRV records, shared by the addresses of a target', async () => {
    const name = '_http._tcp.agents.test';
    await using one = new Rig(await startDnsServer(), { name, type: 'srv' });
    one.server.set(name, [
      { type: 'SRV', target: 'a.agents.test', port: 8001, priority: 10, weight: 60 },
      { type: 'SRV', target: 'b.agents.test', port: 8002, priority: 10, weight: 0 },
      { type: 'SRV', target: 'c.agents.test', port: 8003, priority: 20, weight: 0 },
      { type: 'SRV', target: 'd.agents.test', port: 8004, priority: 20, weight: 0 },
    ]);
    for (const [i, host] of ['b', 'c', 'd'].entries())
      one.server.setAddresses(`${host}.agents.test`, [`10.0.0.${i + 2}`]);
    one.server.setAddresses('a.agents.test', ['10.0.1.1', '10.0.1.2']);
    one.discoverer.start();
    await one.list.told(1);
    const found = one.list.last?.map(({ url: at, hostName, weight, priority }) => [
      at,
      hostName,
      weight,
      priority,
    ]);
    expect(found).toEqual([
      ['http://10.0.0.2:8002', 'b.agents.test', 0.6, 0],
      ['http://10.0.1.1:8001', 'a.agents.test', 30, 0],
      ['http://10.0.1.2:8001', 'a.agents.test', 30, 0],
      ['http://10.0.0.3:8003', 'c.agents.test', 1, 1],
      ['http://10.0.0.4:8004', 'd.agents.test', 1, 1],
    ]);
  });

  it('has IPv6 addresses in brackets', async () => {
    await using one = new Rig(await startDnsServer(), { type: 'aaaa' });
    one.server.set(NAME, [{ type: 'AAAA', address: 'fd00::1' }]);
    one.discoverer.start();
    await one.list.become('http://[fd00::1]:80');
  });
});

describe('its options', () => {
  const problemsOf = (options: object): string[] =>
    dnsSchema.safeParse(options).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ??
    [];

  it.each([
    [{ name: 'a.test', port: 80 }, []],
    [{ name: '_http._tcp.a.test.', type: 'srv' }, []],
    [{ name: 'a.test', port: 80, resolver: ['10.0.0.2', '10.0.0.2:5353', '[fd00::1]:53', 'fd00::1'] }, []],
    [{ name: 'a.test' }, ['port: expected port, or type: srv without one']],
    [{ name: 'a.test', type: 'srv', port: 80 }, ['port: expected port, or type: srv without one']],
    [{ name: 'http://a.test', port: 80 }, ['name: expected a name such as "agents.example.com"']],
    [
      { name: 'a.test', port: 80, resolver: ['dns.example.com:53'] },
      ['resolver.0: expected address:port such as "10.0.0.2:53"'],
    ],
    [{ name: 'a.test', port: 80, minRefresh: '10m' }, ['maxRefresh: expected at least minRefresh']],
  ])('%j', (options, problems) => {
    expect(problemsOf(options)).toEqual(problems);
  });
});
