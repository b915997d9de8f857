import { describe, expect, it } from 'vitest';
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import type { Balancer } from '../../src/core/balancer.ts';
import type { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import { endpointsOf } from '../../src/endpoints/endpoint.ts';
import { endpointSetOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { attemptAt, exchangeAt, respond, identity } from '../support/policy-kit.ts';

const clock = new FakeClock();

const setOf = (names: string, balancer: Balancer = new RoundRobin()): EndpointSet =>
  endpointSetOf(
    [...names].map((name) => `http://${name}.test`),
    () => Promise.resolve(respond()),
    clock,
    {
      balancer,
    },
  );

/** The endpoints that one exchange tries, one after the other. */
function tries(set: EndpointSet, count: number): string {
  const exchange = exchangeAt(clock);
  let names = '';
  for (let i = 0; i < count; i++) {
    const picked = set.pick(exchange);
    if (!picked) break;
    attemptAt(clock, exchange, picked.endpoint);
    names += picked.endpoint.host[0];
  }
  return names;
}

describe('EndpointSet', () => {
  it('takes endpoints in turn', () => {
    const set = setOf('abc');
    expect([1, 2, 3, 4].map(() => tries(set, 1)).join('')).toBe('abca');
  });

  it('skips what this exchange has tried, as long as there is another', () => {
    for (let start = 0; start < 3; start++) {
      const set = setOf('abc');
      for (let i = 0; i < start; i++) tries(set, 1);
      expect(new Set(tries(set, 3)).size).toBe(3);
    }
  });

  it('starts over when all have been tried', () => {
    const tried = tries(setOf('ab'), 6);
    expect(tried).toHaveLength(6);
    expect(new Set(tried.slice(0, 2)).size).toBe(2);
  });

  it('always gives the only one', () => {
    expect(tries(setOf('a'), 3)).toBe('aaa');
  });

  it('gives none where there is none', () => {
    expect(setOf('').pick(exchangeAt(clock))).toBeUndefined();
  });

  it('asks the balancer only about those that were not tried, and only while there is a choice', () => {
    const asked: [string, boolean][] = [];
    const pick: Balancer['pick'] = (candidates, { again }) => {
      asked.push([candidates.map(({ name }) => name.slice(7, 8)).join(''), again]);
      return candidates.length - 1;
    };
    expect(tries(setOf('abc', { name: 'downwards', pick }), 3)).toBe('cba');
    expect(asked).toEqual([
      ['abc', false],
      ['ab', true],
    ]);
  });

  it('does not count what another upstream of the ladder has tried', () => {
    const set = setOf('ab');
    const first = exchangeAt(clock);
    const a = set.pick(first);
    if (a) attemptAt(clock, first, a.endpoint);
    const other = first.redirectedTo(identity('other'), first.request);
    expect(setOf('ab').pick(other)?.endpoint.host).toBe('a.test');
  });

  it('does not let one exchange’s tries concern another', () => {
    const set = setOf('ab');
    const [first, second] = [exchangeAt(clock), exchangeAt(clock)];
    const a = set.pick(first);
    if (a) attemptAt(clock, first, a.endpoint);
    const forSecond = set.pick(second);
    expect(forSecond?.endpoint.host).toBe('b.test');
  });
});

describe('endpointsOf', () => {
  it.each([
    ['http://host:8080', { origin: 'http://host:8080', host: 'host:8080', serverName: 'host', basePath: '' }],
    [
      'https://api.test/v1/',
      { origin: 'https://api.test', host: 'api.test', serverName: 'api.test', basePath: '/v1' },
    ],
    ['http://host:80/', { origin: 'http://host', host: 'host', serverName: 'host', basePath: '' }],
    [
      'http://[::1]:9/a/b',
      { origin: 'http://[::1]:9', host: '[::1]:9', serverName: '[::1]', basePath: '/a/b' },
    ],
  ])('%s', (text, expected) => {
    const rest = { weight: 1, priority: 0, zone: undefined, metadata: {}, instance: undefined };
    const serverName = new URL(text).hostname;
    expect(endpointsOf([{ url: text }])).toEqual([
      { name: expected.origin, ...expected, serverName, ...rest },
    ]);
  });

  it('names endpoints of one origin apart, without their paths', () => {
    const urls = ['http://a.test/tenant-secret', 'http://a.test/other', 'http://b.test'];
    expect(endpointsOf(urls.map((url) => ({ url }))).map(({ name }) => name)).toEqual([
      'http://a.test',
      'http://a.test#2',
      'http://b.test',
    ]);
  });
});
