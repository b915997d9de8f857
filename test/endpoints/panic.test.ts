import { describe, expect, it } from 'vitest';
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import type { EventMap } from '../../src/core/events.ts';
import { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import { Roster } from '../../src/endpoints/roster.ts';
import { ChangingSource } from '../support/changing-source.ts';
import { endpointSetOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { respond } from '../support/policy-kit.ts';

const down = (name: string) => ({ url: `http://${name}.test`, status: 'down' as const });

function rig() {
  const clock = new FakeClock();
  const told: EventMap['panic-changed'][] = [];
  const roster = new Roster({
    clock,
    upstream: 'main',
    emit: (name, event) => {
      if (name === 'panic-changed') told.push(event as EventMap['panic-changed']);
    },
  });
  const generation = (panicThreshold = 0) =>
    endpointSetOf(['http://a.test', 'http://b.test'], () => Promise.resolve(respond()), clock, {
      roster,
      options: { panicThreshold, slowStart: { windowMs: 0, from: 1 }, checked: true },
    });
  const changing = () => {
    const source = new ChangingSource();
    const way = {
      send: () => Promise.resolve(respond()),
      connections: () => ({ connected: 0, free: 0, running: 0 }),
    };
    const set = new EndpointSet({
      ...{ source, roster, balancer: new RoundRobin(), now: () => clock.now(), reach: () => way },
    });
    return { source, set };
  };
  const becomes = (name: string, health: 'healthy' | 'unhealthy') =>
    roster.member(`http://${name}.test`).setHealth(health);
  return { told, generation, changing, becomes };
}

describe('a panic', () => {
  it('is told when it begins and when it ends, without a call in between', () => {
    const { told, generation, becomes } = rig();
    generation().takeOver();
    becomes('a', 'unhealthy');
    expect(told).toEqual([]);
    becomes('b', 'unhealthy');
    becomes('b', 'healthy');
    expect(told).toEqual([
      { upstream: 'main', panicking: true, available: 0, endpoints: 2 },
      { upstream: 'main', panicking: false, available: 1, endpoints: 2 },
    ]);
  });

  it('is told once, also over a reload in the middle of it', () => {
    const { told, generation, becomes } = rig();
    const before = generation();
    before.takeOver();
    becomes('a', 'unhealthy');
    becomes('b', 'unhealthy');
    before.dispose();
    generation().takeOver();
    becomes('a', 'healthy');
    expect(told.map(({ panicking }) => panicking)).toEqual([true, false]);
  });

  it('begins with a reload that asks for more endpoints to be well', () => {
    const { told, generation, becomes } = rig();
    const before = generation();
    before.takeOver();
    becomes('a', 'unhealthy');
    before.dispose();
    generation(0.9).takeOver();
    expect(told).toEqual([{ upstream: 'main', panicking: true, available: 1, endpoints: 2 }]);
  });

  it('is told of by the configuration in force only', () => {
    const { told, generation, becomes } = rig();
    generation(0.9);
    const before = generation();
    before.takeOver();
    becomes('a', 'unhealthy');
    before.dispose();
    becomes('b', 'unhealthy');
    expect(told).toEqual([]);
  });

  it('is none while one list takes the place of another, and is told with the list where it is one', () => {
    const { told, changing } = rig();
    const { source, set } = changing();
    source.become('a', down('b'));
    set.takeOver();
    source.become(down('a'), 'b');
    expect(set.members.map(({ member }) => member.state)).toEqual(['unhealthy', 'available']);
    expect(told).toEqual([]);
    source.become(down('a'), down('c'));
    expect([set.members.length, told.map(({ panicking }) => panicking)]).toEqual([2, [true]]);
    source.become('c');
    expect([set.members.length, told.map(({ panicking }) => panicking)]).toEqual([1, [true, false]]);
  });
});
