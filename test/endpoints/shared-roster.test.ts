/** Several sets of one upstream, one for each variant of its policies: they share the roster and the connections. */
import { describe, expect, it } from 'vitest';
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import type { Way } from '../../src/endpoints/reachable.ts';
import { ChangingSource } from '../support/changing-source.ts';
import { rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { exchangeAt, respond } from '../support/policy-kit.ts';

/** Connections to one endpoint, as the inventory of a runtime keeps them: built once, closed when the endpoint is gone. */
interface Connections {
  readonly way: Way;
  closed: boolean;
}

function rig() {
  const clock = new FakeClock();
  const source = new ChangingSource();
  source.become('a', 'b');
  const roster = rosterOf(clock);
  const kept = new Map<string, Connections>();
  const all = new Map<Way['send'], Connections>();
  const reach = ({ name }: { readonly name: string }): Way => {
    const known = kept.get(name);
    if (known) return known.way;
    const send: Way['send'] = () => Promise.resolve(respond());
    const way = { send, connections: () => ({ connected: 0, free: 0, running: 0 }) };
    const made = { way, closed: false };
    kept.set(name, made);
    all.set(send, made);
    return way;
  };
  const left = ({ name }: { readonly name: string }): void => {
    const gone = kept.get(name);
    if (gone) gone.closed = true;
    kept.delete(name);
  };
  const setOf = (): EndpointSet =>
    new EndpointSet({ source, roster, balancer: new RoundRobin(), now: () => clock.now(), reach, left });
  const [main, variant] = [setOf(), setOf()];
  /** Whether every way of a set is open. */
  const isWell = (set: EndpointSet): boolean =>
    set.members.every(({ send }) => all.get(send)?.closed === false);
  return { clock, source, roster, main, variant, isWell };
}

describe('sets that share a roster', () => {
  it('reach one endpoint by the same connections, and have the same picture of it', () => {
    const { main, variant } = rig();
    expect(variant.members.map(({ send }) => send)).toEqual(main.members.map(({ send }) => send));
    expect(variant.members.map(({ member }) => member)).toEqual(main.members.map(({ member }) => member));
  });

  it('all find the new way where a base path changed, and none closes it for the others', () => {
    const { source, main, variant, isWell } = rig();
    source.become({ url: 'http://a.test/v2' }, 'b');
    expect(isWell(main)).toBe(true);
    expect(isWell(variant)).toBe(true);
    expect(isWell(main)).toBe(true);
    expect(variant.members[0]?.member).toBe(main.members[0]?.member);
  });

  it('do not keep the old way to an endpoint that went and came back while only one of them looked', () => {
    const { source, main, variant, isWell } = rig();
    source.become('b');
    expect(main.members).toHaveLength(1);
    source.become('a', 'b');
    expect(isWell(main)).toBe(true);
    expect(isWell(variant)).toBe(true);
    expect(variant.members[0]?.member).toBe(main.members[0]?.member);
  });

  it('count calls together', () => {
    const { clock, main, variant } = rig();
    main.pick(exchangeAt(clock))?.member.begin(clock.now());
    expect(variant.members.map(({ member }) => member.active)).toEqual([1, 0]);
  });
});
