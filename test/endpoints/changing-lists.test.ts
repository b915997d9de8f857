import { describe, expect, it } from 'vitest';
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import { ChangingSource } from '../support/changing-source.ts';
import { rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { exchangeAt, respond } from '../support/policy-kit.ts';

function rig(...first: readonly string[]) {
  const clock = new FakeClock();
  const source = new ChangingSource();
  source.become(...first);
  const reached: string[] = [];
  const gone: string[] = [];
  const roster = rosterOf(clock);
  const set = new EndpointSet({
    source,
    roster,
    balancer: new RoundRobin(),
    now: () => clock.now(),
    reach: ({ host }) => {
      reached.push(host);
      return {
        send: () => Promise.resolve(respond()),
        connections: () => ({ connected: 0, free: 0, running: 0 }),
      };
    },
    left: ({ host }) => gone.push(host),
  });
  const next = (): string | undefined => set.pick(exchangeAt(clock))?.endpoint.host[0];
  return { clock, source, reached, gone, roster, set, next };
}

describe('a list that changes', () => {
  it('is followed with the next call', () => {
    const { source, next, reached, gone } = rig('a');
    expect(next()).toBe('a');
    source.become('a', 'b');
    expect(new Set([next(), next()])).toEqual(new Set(['a', 'b']));
    source.become('b');
    expect([next(), next()]).toEqual(['b', 'b']);
    expect([reached, gone]).toEqual([['a.test', 'b.test'], ['a.test']]);
  });

  it('can be empty, and fill again', () => {
    const { source, next } = rig();
    expect(next()).toBeUndefined();
    source.become('a');
    expect(next()).toBe('a');
    source.become();
    expect(next()).toBeUndefined();
  });

  it('keeps the way to an endpoint, and what happened to it, when only its weight changes', () => {
    const { source, reached, roster, set } = rig('a', 'b');
    roster.member('http://a.test').setEjected(true);
    source.become({ url: 'http://a.test', weight: 7 }, 'b');
    expect(set.members.map(({ weight }) => weight)).toEqual([7, 1]);
    expect(set.members[0]?.member.state).toBe('ejected');
    expect(reached).toEqual(['a.test', 'b.test']);
  });

  it('finds a new way where the base path changed', () => {
    const { source, set, reached, gone } = rig('a');
    source.become({ url: 'http://a.test/v2' });
    expect(set.members[0]?.endpoint.basePath).toBe('/v2');
    expect([reached, gone]).toEqual([['a.test', 'a.test'], ['a.test']]);
  });

  it('reaches an address anew when it is called something else', () => {
    const { source, set, reached, gone } = rig('a');
    source.become({ url: 'http://a.test', hostName: 'b.test' });
    expect(set.members[0]?.endpoint).toMatchObject({ origin: 'http://a.test', serverName: 'b.test' });
    expect([reached, gone]).toEqual([['a.test', 'b.test'], ['a.test']]);
  });

  it('does not move a set whose configuration is not in force any more', () => {
    const { source, set, next, gone } = rig('a');
    set.dispose();
    source.become('b');
    expect([next(), gone]).toEqual(['a', []]);
  });

  it('gives one that came lately its share slowly', async () => {
    const { clock, roster } = rig('a');
    const slowStart = { windowMs: 10_000, from: 0.1 };
    const source = new ChangingSource();
    source.become({ url: 'http://a.test', weight: 10 });
    const way = {
      send: () => Promise.resolve(respond()),
      connections: () => ({ connected: 0, free: 0, running: 0 }),
    };
    const deps = { source, roster, balancer: new RoundRobin(), now: () => clock.now(), reach: () => way };
    const [one] = new EndpointSet(deps, { panicThreshold: 0, slowStart }).members;
    expect(one?.weight).toBeCloseTo(1);
    await clock.advance(5_000);
    expect(one?.weight).toBeCloseTo(5.5);
    await clock.advance(5_000);
    expect(one?.weight).toBe(10);
  });
});
