/** The list of a configuration that is not in force yet, beside the one that is: they share the roster. */
import { describe, expect, it } from 'vitest';
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import { ChangingSource } from '../support/changing-source.ts';
import { rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { respond } from '../support/policy-kit.ts';
import { capture } from '../support/restart.ts';

const WAY = {
  send: () => Promise.resolve(respond()),
  connections: () => ({ connected: 0, free: 0, running: 0 }),
};

const down = (name: string) => ({ url: `http://${name}.test`, status: 'down' as const });

function rig() {
  const clock = new FakeClock();
  const roster = rosterOf(clock);
  const gone: string[] = [];
  const setOf = (source: ChangingSource): EndpointSet =>
    new EndpointSet({
      ...{ source, roster, balancer: new RoundRobin(), now: () => clock.now(), reach: () => WAY },
      left: ({ name }) => gone.push(name),
    });
  const [ours, theirs] = [new ChangingSource(), new ChangingSource()];
  ours.become(down('a'), 'b');
  const running = setOf(ours);
  running.takeOver();
  theirs.become('a', down('b'), 'c');
  const states = (set: EndpointSet): string[] => set.members.map(({ member }) => member.state);
  return { clock, roster, gone, ours, theirs, running, setOf, states };
}

describe('the list of a configuration that is not in force yet', () => {
  it('says nothing of endpoints that the one in force knows otherwise, before it is in force', () => {
    const { theirs, running, setOf, states } = rig();
    const candidate = setOf(theirs);
    expect(states(running)).toEqual(['unhealthy', 'available']);
    theirs.become('a', down('b'));
    expect(candidate.members).toHaveLength(2);
    expect(states(running)).toEqual(['unhealthy', 'available']);
    running.dispose();
    candidate.takeOver();
    expect(states(candidate)).toEqual(['available', 'unhealthy']);
  });

  it('takes nobody off the list in force', () => {
    const { theirs, running, setOf, gone, roster } = rig();
    const candidate = setOf(theirs);
    theirs.become('a');
    expect([candidate.members.length, gone]).toEqual([1, []]);
    expect(running.members.every(({ member }) => roster.knows(member))).toBe(true);
  });

  it('leaves nothing behind when it is refused', () => {
    const { theirs, running, setOf, roster } = rig();
    setOf(theirs);
    running.insist();
    expect(roster.member('http://c.test').serial).toBeGreaterThan(3);
    expect(running.members.every(({ member }) => roster.knows(member))).toBe(true);
  });

  it('changes nothing of who is remembered to have which name when it is refused', () => {
    const { clock, ours, theirs, running, setOf, roster } = rig();
    running.members[0]?.member.operate('disabled');
    const before = capture({ part: roster, clock });
    theirs.become({ url: 'http://a.test/elsewhere' }, { url: 'http://b.test', instance: 'x' });
    const candidate = setOf(theirs);
    expect(candidate.members.map(({ name }) => name)).toEqual(['http://a.test', 'http://b.test']);
    running.insist();
    expect(capture({ part: roster, clock })).toEqual(before);
    ours.become('a', { url: 'http://a.test/more' });
    expect(running.members.map(({ name }) => name)).toEqual(['http://a.test', 'http://a.test#2']);
  });

  it('knows an endpoint as the roster does, also where the one in force lost it meanwhile', () => {
    const { ours, theirs, running, setOf, roster, gone } = rig();
    const candidate = setOf(theirs);
    ours.become(down('a'));
    expect([running.members.length, gone]).toEqual([1, ['http://b.test']]);
    running.dispose();
    candidate.takeOver();
    expect(candidate.members.every(({ member }) => roster.knows(member))).toBe(true);
    expect(roster.find('http://b.test')?.state).toBe('unhealthy');
  });

  it('also of a variant speaks once its configuration is in force', () => {
    const { ours, running, setOf, states } = rig();
    const variant = setOf(ours);
    variant.join();
    ours.become('a', down('b'));
    expect(states(variant)).toEqual(['available', 'unhealthy']);
    expect(states(running)).toEqual(['available', 'unhealthy']);
  });
});
