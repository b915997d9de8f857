import { describe, expect, it } from 'vitest';
import { Lookup } from '../../../src/discovery/dns/lookup.ts';
import type { LookupOptions } from '../../../src/discovery/dns/lookup.ts';
import { Resolver } from '../../../src/discovery/dns/resolver.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { startDnsServer } from '../../support/dns-server.ts';
import type { DnsServer } from '../../support/dns-server.ts';
import { closedPort } from '../../support/dead-ports.ts';

const TIMEOUT_MS = 150;
const wanted = new AbortController().signal;

function lookup(servers: readonly string[], options: Partial<LookupOptions>): Lookup {
  const resolver = new Resolver({ servers, timeoutMs: TIMEOUT_MS }, systemClock);
  const all: LookupOptions = { name: 'agents.test', type: 'a', port: 80, ...options };
  return new Lookup(all, (question, signal) => resolver.resolve(question, signal));
}

const addressesOf = async (server: DnsServer, options: Partial<LookupOptions> = {}): Promise<string[]> => {
  const { located } = await lookup([server.address], options).find(wanted);
  return located.map(({ address, port }) => `${address} ${port}`);
};

describe('a lookup by address', () => {
  it('finds all addresses and the shortest time that they live', async () => {
    await using server = await startDnsServer();
    server.setAddresses('agents.test', ['10.0.0.1', '10.0.0.2'], 20);
    const found = await lookup([server.address], { port: 8080 }).find(wanted);
    expect(found.located.map(({ address, port }) => [address, port])).toEqual([
      ['10.0.0.1', 8080],
      ['10.0.0.2', 8080],
    ]);
    expect([found.ttlMs, found.nothing]).toEqual([20_000, undefined]);
  });

  it('finds both families, and does without the one that there is not', async () => {
    await using server = await startDnsServer();
    server.set('agents.test', [
      { type: 'A', address: '10.0.0.1' },
      { type: 'AAAA', address: '2001:db8::7' },
    ]);
    expect(await addressesOf(server, { type: 'both' })).toEqual(['10.0.0.1 80', '2001:db8::7 80']);
    expect(await addressesOf(server, { type: 'aaaa' })).toEqual(['2001:db8::7 80']);
    server.setAddresses('agents.test', ['10.0.0.1']);
    expect(await addressesOf(server, { type: 'both' })).toEqual(['10.0.0.1 80']);
  });

  it('follows aliases', async () => {
    await using server = await startDnsServer();
    server.set('agents.test', [{ type: 'CNAME', target: 'pool.test' }], 3);
    server.setAddresses('pool.test', ['10.0.0.1'], 60);
    const found = await lookup([server.address], {}).find(wanted);
    expect([found.located.length, found.ttlMs]).toEqual([1, 3_000]);
  });

  it('asks over TCP for what does not fit, 300 addresses too', async () => {
    await using server = await startDnsServer();
    const many = Array.from({ length: 300 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    server.setAddresses('agents.test', many);
    server.manner = 'cut';
    expect(await addressesOf(server)).toHaveLength(300);
    expect(server.questions.map(({ over }) => over)).toEqual(['udp', 'tcp']);
  });

  it('says that there is nothing where the server does', async () => {
    await using server = await startDnsServer();
    expect(await lookup([server.address], {}).find(wanted)).toMatchObject({
      located: [],
      nothing: 'there is no name agents.test',
    });
    server.set('agents.test', []);
    expect(await lookup([server.address], {}).find(wanted)).toMatchObject({
      nothing: 'agents.test has no A records',
    });
  });

  it('asks the next server where one is dead, silent or unwilling', async () => {
    await using first = await startDnsServer();
    await using second = await startDnsServer();
    second.setAddresses('agents.test', ['10.0.0.1']);
    for (const manner of ['servfail', 'refused', 'silent'] as const) {
      first.manner = manner;
      const { located } = await lookup([first.address, second.address], {}).find(wanted);
      expect(located).toHaveLength(1);
    }
    await using dead = await closedPort();
    expect((await lookup([`127.0.0.1:${dead.port}`, second.address], {}).find(wanted)).located).toHaveLength(
      1,
    );
  });

  it('asks twice, and then says what each server did', async () => {
    await using first = await startDnsServer();
    await using second = await startDnsServer();
    first.manner = 'servfail';
    second.manner = 'silent';
    await expect(lookup([first.address, second.address], {}).find(wanted)).rejects.toThrow(
      `A records of agents.test: ${first.address}: SERVFAIL, ${second.address}: no answer in time`,
    );
    expect([first.questions.length, second.questions.length]).toEqual([2, 2]);
  });

  it('does not take an answer that is cut off over TCP as well for the word that there is nothing', async () => {
    await using server = await startDnsServer();
    server.manner = 'cut-everywhere';
    await expect(lookup([server.address], {}).find(wanted)).rejects.toThrow('cut off also over TCP');
  });

  it('gets on with a server that does not understand EDNS', async () => {
    await using server = await startDnsServer();
    server.setAddresses('agents.test', ['10.0.0.1']);
    server.manner = 'formerr-to-edns';
    expect(await addressesOf(server)).toEqual(['10.0.0.1 80']);
  });

  it('ends at once when it is not wanted any more', async () => {
    await using server = await startDnsServer();
    server.manner = 'silent';
    const stop = new AbortController();
    const ending = expect(lookup([server.address], {}).find(stop.signal)).rejects.toThrow('not wanted');
    await server.waitForQuestions(1);
    stop.abort();
    await ending;
    expect(server.questions).toHaveLength(1);
  });
});

const SRV = { name: '_http._tcp.agents.test', type: 'srv', port: undefined } as const;

describe('a lookup by service', () => {
  it('finds the addresses of all targets, with ports, weights and priorities', async () => {
    await using server = await startDnsServer();
    server.compressTargets = true;
    const targets = [
      { type: 'SRV', target: 'a.agents.test', port: 8001, priority: 10, weight: 3 },
      { type: 'SRV', target: 'b.agents.test', port: 8002, priority: 20, weight: 0 },
    ] as const;
    server.set(SRV.name, targets, 9);
    server.setAddresses('a.agents.test', ['10.0.0.1', '10.0.0.2'], 60);
    server.set('b.agents.test', [{ type: 'AAAA', address: '2001:db8::1' }], 60);
    const found = await lookup([server.address], SRV).find(wanted);
    expect(found.ttlMs).toBe(9_000);
    expect(found.located).toEqual([
      { address: '10.0.0.1', port: 8001, srv: { target: 'a.agents.test', priority: 10, weight: 3 } },
      { address: '10.0.0.2', port: 8001, srv: { target: 'a.agents.test', priority: 10, weight: 3 } },
      { address: '2001:db8::1', port: 8002, srv: { target: 'b.agents.test', priority: 20, weight: 0 } },
    ]);
  });

  it('lives no longer than the addresses of its targets', async () => {
    await using server = await startDnsServer();
    server.set(SRV.name, [{ type: 'SRV', target: 'a.agents.test', port: 1 }], 60);
    server.setAddresses('a.agents.test', ['10.0.0.1'], 4);
    expect((await lookup([server.address], SRV).find(wanted)).ttlMs).toBe(4_000);
  });

  it('takes the root as a target for the word that there is no such service', async () => {
    await using server = await startDnsServer();
    server.set(SRV.name, [{ type: 'SRV', target: '', port: 0 }]);
    expect(await lookup([server.address], SRV).find(wanted)).toMatchObject({ located: [] });
  });

  it('leaves out targets that no host is called', async () => {
    await using server = await startDnsServer();
    server.set(SRV.name, [
      { type: 'SRV', target: 'a b\r\n.test', port: 80 },
      { type: 'SRV', target: 'a.agents.test', port: 80 },
    ]);
    server.setAddresses('a.agents.test', ['10.0.0.1']);
    expect(await addressesOf(server, SRV)).toEqual(['10.0.0.1 80']);
  });

  it('remembers the addresses of a target that it cannot look up now', async () => {
    await using server = await startDnsServer();
    server.set(SRV.name, [{ type: 'SRV', target: 'a.agents.test', port: 80 }]);
    server.setAddresses('a.agents.test', ['10.0.0.1']);
    const resolver = new Resolver({ servers: [server.address], timeoutMs: TIMEOUT_MS }, systemClock);
    const one = new Lookup(SRV, (question, signal) => {
      server.manner = question.type === 'SRV' ? 'answer' : manner;
      return resolver.resolve(question, signal);
    });
    let manner: 'answer' | 'servfail' = 'answer';
    await one.find(wanted);
    manner = 'servfail';
    for (let i = 0; i < 2; i++)
      expect((await one.find(wanted)).located).toMatchObject([{ address: '10.0.0.1' }]);
  });

  it('knows nothing where no target can be looked up for the first time', async () => {
    await using server = await startDnsServer();
    server.set(SRV.name, [{ type: 'SRV', target: 'a.agents.test', port: 80 }]);
    const resolver = new Resolver({ servers: [server.address], timeoutMs: TIMEOUT_MS }, systemClock);
    const one = new Lookup(SRV, (question, signal) => {
      server.manner = question.type === 'SRV' ? 'answer' : 'servfail';
      return resolver.resolve(question, signal);
    });
    await expect(one.find(wanted)).rejects.toThrow('A records of a.agents.test');
  });
});
