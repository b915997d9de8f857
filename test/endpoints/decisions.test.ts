/** An operator's hand on an endpoint that leaves its list, or whose sidecar is started anew. */
import { describe, expect, it } from 'vitest';
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import type { Endpoint, EndpointDescription, Operation } from '../../src/core/endpoint.ts';
import { Instants } from '../../src/core/persistence.ts';
import { Decisions } from '../../src/endpoints/decisions.ts';
import type { Unnamed } from '../../src/endpoints/endpoint-names.ts';
import { endpointsOf } from '../../src/endpoints/endpoint.ts';
import { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import type { Roster } from '../../src/endpoints/roster.ts';
import { ChangingSource } from '../support/changing-source.ts';
import { endpointSetOf, rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { respond } from '../support/policy-kit.ts';
import { capture, leave, take } from '../support/restart.ts';

const HOUR_MS = 3_600_000;
const WAY = {
  send: () => Promise.resolve(respond()),
  connections: () => ({ connected: 0, free: 0, running: 0 }),
};

const unnamed = (number: number): Unnamed => {
  const [{ name: _, ...rest }] = endpointsOf([{ url: `http://e${number}.test` }]) as [Endpoint];
  return rest;
};

const decided = (number: number, operation: Operation) => ({
  name: `http://${number}.test`,
  endpoint: unnamed(number),
  operation,
});

type Listed = string | EndpointDescription;

function setFor(source: ChangingSource, roster: Roster, clock: FakeClock): EndpointSet {
  const now = (): number => clock.now();
  return new EndpointSet({ source, roster, balancer: new RoundRobin(), now, reach: () => WAY });
}

function rig(...first: readonly Listed[]) {
  const clock = new FakeClock();
  const source = new ChangingSource();
  source.become(...first);
  const roster = rosterOf(clock);
  const set = setFor(source, roster, clock);
  set.takeOver();
  const states = (): string[] => set.members.map(({ member }) => member.state);
  return { clock, source, roster, set, states };
}

describe('an operator’s decision', () => {
  it('outlives that its endpoint flaps, and nothing else of it does', () => {
    const { source, set, states } = rig('a', 'b');
    set.members[0]?.member.operate('disabled');
    set.members[1]?.member.setEjected(true);
    for (let n = 0; n < 3; n++) {
      source.become();
      expect(states()).toEqual([]);
      source.become('b', 'a');
      expect(states()).toEqual(['available', 'disabled']);
    }
    set.members[1]?.member.operate('enabled');
    source.become();
    expect(states()).toEqual([]);
    source.become('a');
    expect(states()).toEqual(['available']);
  });

  it('outlives that one configuration has not got it', () => {
    const { clock, roster, set } = rig('a', 'b');
    set.members[0]?.member.operate('draining');
    set.dispose();
    const without = endpointSetOf(['http://b.test'], WAY.send, clock, { roster });
    without.takeOver();
    without.dispose();
    const again = endpointSetOf(['http://a.test', 'http://b.test'], WAY.send, clock, { roster });
    again.takeOver();
    expect(again.members.map(({ member }) => member.state)).toEqual(['draining', 'available']);
  });

  it('is forgotten after an hour', async () => {
    const { clock, source, set, states } = rig('a', 'b');
    for (const { member } of set.members) member.operate('disabled');
    source.become();
    expect(states()).toEqual([]);
    await clock.advance(HOUR_MS - 1);
    source.become('a');
    expect(states()).toEqual(['disabled']);
    await clock.advance(1);
    source.become('a', 'b');
    expect(states()).toEqual(['disabled', 'available']);
  });

  it('is not that on another instance at the same address', () => {
    const x = { url: 'http://a.test', instance: 'x' };
    const { source, set, states } = rig(x);
    set.members[0]?.member.operate('draining');
    for (const list of [[], [{ ...x, instance: 'y' }]]) {
      source.become(...list);
      expect(states()).toEqual(list.map(() => 'available'));
    }
    source.become({ ...x, instance: 'y' }, x);
    expect(states()).toEqual(['available', 'draining']);
  });

  it('is remembered for ten thousand endpoints that are gone', () => {
    const decisions = new Decisions();
    for (let i = 0; i <= 10_000; i++) decisions.keep(decided(i, 'disabled'), 0);
    expect([0, 1, 10_000].map((i) => decisions.take(unnamed(i), 1))).toEqual([
      'enabled',
      'disabled',
      'disabled',
    ]);
  });
});

describe('after a restart', () => {
  it('what was decided is known, also on endpoints that are found later or were away', async () => {
    const { clock, source, roster, set } = rig('a', 'b', 'c', 'd');
    set.members[0]?.member.operate('disabled');
    set.members[1]?.member.operate('draining');
    set.members[2]?.member.operate('disabled');
    source.become('a', 'c', 'd');
    expect(set.members).toHaveLength(3);
    await clock.advance(HOUR_MS / 2);
    const left = leave({ part: roster, clock });

    const after = rig('a', 'd');
    expect(take(left, { part: after.roster, clock: after.clock }, 1_000)).toBe(true);
    expect(after.states()).toEqual(['disabled', 'available']);
    expect(after.set.remembered).toEqual([
      { name: 'http://b.test', decision: 'draining', leftMs: expect.any(Number) as number },
      { name: 'http://c.test', decision: 'disabled', leftMs: expect.any(Number) as number },
    ]);
    after.source.become('a', 'b', 'c', 'd');
    expect(after.states()).toEqual(['disabled', 'draining', 'disabled', 'available']);
  });

  it('what was decided on endpoints that are listed counts before what was on those that are gone', () => {
    const [before, after] = [new Decisions(), new Decisions()];
    for (let i = 1; i <= 10_000; i++) before.keep(decided(i, 'disabled'), 0);
    const instants = Instants.of({ now: 0, wallMs: 0 });
    after.restore(before.capture([decided(0, 'draining')], instants, 0), instants, 0);
    expect([0, 1, 2].map((i) => after.take(unnamed(i), 1))).toEqual(['draining', 'enabled', 'disabled']);
  });

  it('one that was away has no more time than it had left', async () => {
    const { clock, source, roster, set } = rig('a');
    set.members[0]?.member.operate('disabled');
    source.become();
    expect(set.members).toEqual([]);
    await clock.advance(HOUR_MS / 2);
    const left = leave({ part: roster, clock });
    const after = rig();
    take(left, { part: after.roster, clock: after.clock }, HOUR_MS / 2);
    after.source.become('a');
    expect(after.states()).toEqual(['available']);
  });

  it('nothing is kept where nobody decided anything, and no path is', () => {
    const { clock, roster, set } = rig({ url: 'http://a.test/s3cret' });
    expect(capture({ part: roster, clock })).toBeUndefined();
    set.members[0]?.member.operate('disabled');
    expect(JSON.stringify(capture({ part: roster, clock }))).not.toContain('s3cret');
  });

  it.each([null, 7, { decisions: [{ id: 'x' }] }, { decisions: 'all' }])('%j is no state of it', (saved) => {
    const { roster, clock, states } = rig('a');
    expect(take({ ...leave({ part: roster, clock }), state: saved }, { part: roster, clock })).toBe(false);
    expect(states()).toEqual(['available']);
  });
});
