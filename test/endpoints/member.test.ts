import { describe, expect, it } from 'vitest';
import { ENDPOINT_STATES } from '../../src/core/endpoint.ts';
import { endpointsOf } from '../../src/endpoints/endpoint.ts';
import { Roster } from '../../src/endpoints/roster.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from '../support/policy-kit.ts';

function rig() {
  const clock = new FakeClock();
  const events = new EventLog();
  const roster = new Roster({ clock, emit: events.emit, upstream: 'main' });
  return { clock, events, roster, member: roster.member('http://a.test') };
}

describe('Member', () => {
  it('is available until somebody says otherwise', () => {
    const { member, events } = rig();
    expect(member.state).toBe('available');
    expect(events.all).toEqual([]);
  });

  it('an operator’s word counts more than checks, and checks more than calls that failed', () => {
    const { member } = rig();
    member.setEjected(true);
    expect(member.state).toBe('ejected');
    member.setHealth('unhealthy');
    expect(member.state).toBe('unhealthy');
    member.operate('draining');
    expect(member.state).toBe('draining');
    member.operate('disabled');
    expect(member.state).toBe('disabled');
    member.operate('enabled');
    member.setHealth('healthy');
    expect(member.state).toBe('ejected');
    member.setEjected(false);
    expect(member.state).toBe('available');
  });

  it('tells of a change once, and of none where others see none', () => {
    const { member, events, roster } = rig();
    member.setHealth('healthy');
    expect(events.all).toEqual([]);
    member.operate('disabled');
    member.setEjected(true);
    member.operate('disabled');
    expect(events.of('endpoint-changed')).toEqual([
      { upstream: 'main', endpoint: 'http://a.test', from: 'available', to: 'disabled' },
    ]);
    expect(roster.version).toBe(1);
  });

  it('has only states that are known to metrics', () => {
    const { member } = rig();
    for (const health of ['starting', 'degraded', 'unhealthy'] as const) {
      member.setHealth(health);
      expect(ENDPOINT_STATES).toContain(member.state);
    }
  });

  it('remembers when it became available', async () => {
    const { member, clock } = rig();
    member.setHealth('unhealthy');
    await clock.advance(5_000);
    member.setHealth('healthy');
    expect(member.availableSince).toBe(clock.now());
  });

  it('a failure in no time does not make it look quick', () => {
    const { member, clock } = rig();
    member.observe(50, false, clock.now());
    member.observe(1, true, clock.now());
    expect(member.latencyMs(clock.now())).toBe(1_000);
  });

  it('an outage of a thousand failures is forgiven as soon as one of ten', async () => {
    const { member, clock } = rig();
    for (let i = 0; i < 2_000; i++) member.observe(1, true, clock.now());
    expect(member.latencyMs(clock.now())).toBe(30_000);
    expect(member.strain(clock.now())).toBe(1_000);
    await clock.advance(100_000);
    expect(member.latencyMs(clock.now())).toBeLessThan(2);
    expect(member.strain(clock.now())).toBe(0);
  });

  it('failures of late count as calls under way, for a while, and are not shown as such', async () => {
    const { member, clock } = rig();
    member.begin(clock.now());
    member.observe(1, true, clock.now());
    expect([member.active, member.strain(clock.now())]).toEqual([1, 2]);
    await clock.advance(60_000);
    expect(member.strain(clock.now())).toBe(1);
  });

  it('what made it slow is forgotten with time', async () => {
    const { member, clock } = rig();
    member.observe(4_000, false, clock.now());
    await clock.advance(60_000);
    expect(member.latencyMs(clock.now())).toBeLessThan(20);
  });
});

describe('Roster', () => {
  it('gives the same member for the same name, and a new one once it was forgotten', () => {
    const { roster, member } = rig();
    member.operate('disabled');
    expect(roster.member('http://a.test')).toBe(member);
    roster.forget(endpointsOf([{ url: 'http://a.test' }])[0]!);
    expect(roster.member('http://a.test').state).toBe('available');
  });
});
