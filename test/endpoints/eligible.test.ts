import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import { eligible } from '../../src/endpoints/eligible.ts';
import type { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import type { Roster } from '../../src/endpoints/roster.ts';
import { endpointSetOf, rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { attemptAt, exchangeAt, respond } from '../support/policy-kit.ts';

type Parts = Omit<EndpointDescription, 'url'>;

function rig(parts: Readonly<Record<string, Parts>>): { set: EndpointSet; roster: Roster } {
  const clock = new FakeClock();
  const roster = rosterOf(clock);
  const endpoints = Object.entries(parts).map(([name, part]) => ({ url: urlOf(name), ...part }));
  return { roster, set: endpointSetOf(endpoints, () => Promise.resolve(respond()), clock, { roster }) };
}

const urlOf = (name: string): string => `http://${name}.test`;

const namesOf = (set: EndpointSet, panicThreshold = 0): string => {
  const { endpoints, panicking } = eligible(set.members, { panicThreshold });
  return (panicking ? '!' : '') + endpoints.map(({ endpoint }) => endpoint.host[0]).join('');
};

describe('eligible', () => {
  it('is everybody while all is well', () => {
    expect(namesOf(rig({ a: {}, b: {} }).set)).toBe('ab');
  });

  it('leaves out what is not available', () => {
    const { set, roster } = rig({ a: {}, b: {}, c: {}, d: {} });
    roster.member(urlOf('a')).setEjected(true);
    roster.member(urlOf('b')).setHealth('unhealthy');
    roster.member(urlOf('c')).operate('draining');
    expect(namesOf(set)).toBe('d');
  });

  it('goes to the next priority only while none of the first is available, and comes back', () => {
    const { set, roster } = rig({ a: {}, b: {}, c: { priority: 1 }, d: { priority: 2 } });
    roster.member(urlOf('a')).setEjected(true);
    expect(namesOf(set)).toBe('b');
    roster.member(urlOf('b')).setEjected(true);
    expect(namesOf(set)).toBe('c');
    roster.member(urlOf('c')).operate('disabled');
    expect(namesOf(set)).toBe('d');
    roster.member(urlOf('a')).setEjected(false);
    expect(namesOf(set)).toBe('a');
  });

  it('takes degraded ones when nobody is available, whatever their priority', () => {
    const { set, roster } = rig({ a: {}, b: { priority: 1 } });
    roster.member(urlOf('a')).setHealth('degraded');
    expect(namesOf(set)).toBe('b');
    roster.member(urlOf('b')).setEjected(true);
    expect(namesOf(set)).toBe('a');
  });

  it('takes ones that were not checked yet when nobody is known to be well, and that is no panic', () => {
    const { set, roster } = rig({ a: {}, b: {}, c: {}, d: { priority: 1 } });
    for (const name of 'abcd') roster.member(urlOf(name)).setHealth('starting');
    expect(namesOf(set)).toBe('abc');
    roster.member(urlOf('a')).setHealth('unhealthy');
    expect(namesOf(set)).toBe('bc');
    roster.member(urlOf('b')).setHealth('healthy');
    expect([namesOf(set), namesOf(set, 0.5)]).toEqual(['b', 'bc']);
    roster.member(urlOf('b')).setHealth('unhealthy');
    roster.member(urlOf('d')).setHealth('healthy');
    expect(namesOf(set)).toBe('d');
  });

  it('takes everybody of the first group rather than nobody, but not what an operator took out', () => {
    const { set, roster } = rig({ a: {}, b: {}, c: { priority: 1 } });
    for (const name of 'abc') roster.member(urlOf(name)).setEjected(true);
    expect(namesOf(set)).toBe('!ab');
    roster.member(urlOf('a')).operate('disabled');
    expect(namesOf(set)).toBe('!b');
  });

  it('in a panic takes the first group that has anybody who is well, rather than one in which nobody is', () => {
    const parts = { a: {}, b: {}, c: { priority: 1 }, d: { priority: 1 }, e: { priority: 1 } };
    const { set, roster } = rig(parts);
    for (const name of 'abcd') roster.member(urlOf(name)).setEjected(true);
    expect(namesOf(set, 0.5)).toBe('!cde');
    roster.member(urlOf('e')).setHealth('starting');
    expect(namesOf(set, 0.5)).toBe('!cde');
    roster.member(urlOf('e')).setHealth('unhealthy');
    expect(namesOf(set, 0.5)).toBe('!ab');
  });

  it('is nobody when operators took all of them out', () => {
    const { set, roster } = rig({ a: {}, b: {} });
    roster.member(urlOf('a')).operate('disabled');
    roster.member(urlOf('b')).operate('draining');
    expect(namesOf(set)).toBe('');
  });

  it('panics below the threshold, and not at it', () => {
    const { set, roster } = rig({ a: {}, b: {}, c: {}, d: {} });
    roster.member(urlOf('a')).setEjected(true);
    roster.member(urlOf('b')).setEjected(true);
    expect(namesOf(set, 0.5)).toBe('cd');
    roster.member(urlOf('c')).setEjected(true);
    expect(namesOf(set, 0.5)).toBe('!abcd');
  });

  it('gives a weight of 0 nothing, unless all have it', () => {
    expect(namesOf(rig({ a: { weight: 0 }, b: {} }).set)).toBe('b');
    expect(namesOf(rig({ a: { weight: 0 }, b: { weight: 0 } }).set)).toBe('ab');
  });

  it('is never nobody while somebody is enabled', () => {
    const health = fc.constantFrom('unknown' as const, 'starting', 'degraded', 'unhealthy', 'healthy');
    const one = fc.record({ priority: fc.nat(2), weight: fc.nat(2), health, ejected: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(one, { minLength: 1, maxLength: 6 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (all, share) => {
          const named = all.map((parts, i) => [`e${i}`, parts] as const);
          const { set, roster } = rig(Object.fromEntries(named));
          for (const [name, parts] of named) {
            roster.member(urlOf(name)).setHealth(parts.health);
            roster.member(urlOf(name)).setEjected(parts.ejected);
          }
          const { endpoints, panicking } = eligible(set.members, { panicThreshold: share });
          expect(endpoints.length).toBeGreaterThan(0);
          if (!panicking)
            expect(['available', 'degraded', 'starting']).toEqual(
              expect.arrayContaining(endpoints.map(({ member }) => member.state)),
            );
        },
      ),
    );
  });
});

describe('a further try', () => {
  const tries = (parts: Readonly<Record<string, Parts>>, count: number, degraded = ''): string => {
    const { set, roster } = rig(parts);
    for (const name of degraded) roster.member(urlOf(name)).setHealth('degraded');
    const clock = new FakeClock();
    const exchange = exchangeAt(clock);
    return Array.from({ length: count }, () => {
      const picked = set.pick(exchange);
      if (picked) attemptAt(clock, exchange, picked.endpoint);
      return picked?.endpoint.host[0] ?? '-';
    }).join('');
  };

  it('goes to the next priority when all of the first have been tried, and then on in turn', () => {
    expect(tries({ a: {}, b: { priority: 1 }, c: { priority: 2 } }, 4)).toBe('abca');
  });

  it('goes to one that is not quite well rather than where it has failed', () => {
    expect(tries({ a: {}, b: {} }, 2, 'b')).toBe('ab');
  });

  it('does not go where nothing is to go', () => {
    expect(tries({ a: {}, b: { weight: 0 } }, 2)).toBe('aa');
  });
});
