import { describe, expect, it } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, respond, silence } from '../support/policy-kit.ts';
import { BreakerRig } from './breaker-rig.ts';

describe('circuit-breaker: an operator’s word', () => {
  it('holds it open, for as long as it stands, and shows it as isolated', async () => {
    const rig = new BreakerRig({});
    rig.policy.setOverride('open');
    expect(rig.state).toBe('isolated');
    await rig.clock.advance(86_400_000);
    const { outcome, passed } = await rig.call();
    expect(passed()).toBe(false);
    expect(outcome()).toMatchObject({ reason: 'circuit_open', retryAfterMs: 1_000 });
    expect(rig.policy.snapshot()).toMatchObject({ state: 'isolated', override: 'open' });
  });

  it('holds it closed, whatever fails', async () => {
    const rig = new BreakerRig({});
    await rig.trip();
    rig.policy.setOverride('closed');
    expect(rig.state).toBe('closed');
    await rig.fail(100);
    expect((await rig.call()).passed()).toBe(true);
    expect(rig.state).toBe('closed');
  });

  it('gives the decision back, starting closed and with a clean window', async () => {
    const rig = new BreakerRig({});
    rig.policy.setOverride('closed');
    await rig.fail(100);
    rig.policy.setOverride('auto');
    await rig.fail(4);
    expect(rig.state).not.toBe('open');
    await rig.fail();
    expect(rig.state).toBe('open');
  });

  it('ends an outage: the next opening lasts as long as a first one', async () => {
    const rig = new BreakerRig({});
    await rig.tripAndWait();
    await rig.fail();
    expect(rig.policy.snapshot()).toMatchObject({ openForMs: 30_000 });
    rig.policy.setOverride('closed');
    rig.policy.setOverride('auto');
    await rig.trip();
    expect(rig.policy.snapshot()).toMatchObject({ openForMs: 15_000, openings: 1 });
  });

  it('outweighs the results of calls that are under way', async () => {
    const rig = new BreakerRig({});
    await rig.tripAndWait();
    const probe = respond();
    rig.start(probe);
    await settle();
    rig.policy.setOverride('open');
    bodyOf(probe).complete();
    await settle();
    expect(rig.state).toBe('isolated');
  });

  it('said twice changes nothing', async () => {
    const rig = new BreakerRig({});
    rig.policy.setOverride('auto');
    await rig.trip();
    rig.policy.setOverride('auto');
    expect(rig.state).toBe('open');
    rig.policy.setOverride('open');
    rig.policy.setOverride('open');
    expect(rig.changes.filter(([, to]) => to === 'isolated')).toHaveLength(1);
  });
});

describe('circuit-breaker: a reload', () => {
  it('keeps an open circuit open, until the same instant', async () => {
    const before = new BreakerRig({});
    await before.trip();
    await before.clock.advance(5_000);
    const rig = before.reloaded({ consecutiveFailures: 50, openFor: '1s' });
    expect(rig.policy.snapshot()).toMatchObject({ state: 'open', openForMs: 10_000 });
    expect((await rig.call()).passed()).toBe(false);
    await rig.clock.advance(10_000);
    expect((await rig.call()).passed()).toBe(true);
  });

  it('keeps what the operator said', () => {
    const before = new BreakerRig({});
    before.policy.setOverride('open');
    expect(before.reloaded({ openFor: '1s' }).policy.snapshot()).toMatchObject({ override: 'open' });
  });

  it('keeps what was counted: failures in a row', async () => {
    const options = { failureRatio: false } as const;
    const before = new BreakerRig(options);
    await before.fail(4);
    const rig = before.reloaded({ ...options, openFor: '20s' });
    await rig.fail();
    expect(rig.state).toBe('open');
  });

  it('keeps what was counted: the window', async () => {
    const options = { consecutiveFailures: false } as const;
    const before = new BreakerRig(options);
    await before.fail(4);
    const rig = before.reloaded({ ...options, openFor: '20s' });
    expect(rig.policy.snapshot()).toMatchObject({ calls: 4, failures: 4 });
    await rig.fail();
    expect(rig.state).toBe('open');
  });

  it('keeps what was counted through several reloads without an exchange between them', async () => {
    const before = new BreakerRig({ failureRatio: false });
    await before.fail(4);
    const rig = before
      .reloaded({ failureRatio: false, openFor: '20s' })
      .reloaded({ failureRatio: false, openFor: '30s' });
    await rig.fail();
    expect(rig.policy.snapshot()).toMatchObject({ state: 'open', openForMs: 30_000 });
  });

  it('starts a window of another length anew', async () => {
    const before = new BreakerRig({ consecutiveFailures: false });
    await before.fail(4);
    const rig = before.reloaded({ consecutiveFailures: false, window: '30s' });
    await rig.fail();
    expect(rig.state).toBe('closed');
  });

  it('brings new thresholds into force', async () => {
    const before = new BreakerRig({ failureRatio: false });
    await before.fail(2);
    const rig = before.reloaded({ failureRatio: false, consecutiveFailures: 3 });
    await rig.fail();
    expect(rig.state).toBe('open');
  });

  it('touches nothing while its configuration may yet be refused', async () => {
    const rig = new BreakerRig({ failureRatio: false });
    await rig.fail(2);
    rig.reloaded({ failureRatio: false, consecutiveFailures: 1, window: '1s', openFor: '1s' });
    await rig.fail(2);
    expect(rig.state).toBe('closed');
    expect(rig.policy.snapshot()).toMatchObject({ calls: 4, failures: 4 });
    await rig.fail();
    expect(rig.policy.snapshot()).toMatchObject({ state: 'open', openForMs: 15_000 });
  });

  it('applies new open times to an outage under way, at the step where it stands', async () => {
    const before = new BreakerRig({});
    await before.tripAndWait();
    await before.fail();
    const rig = before.reloaded({ openFor: '1s', maxOpenFor: '10s' });
    await rig.clock.advance(30_000);
    await rig.fail();
    expect(rig.policy.snapshot()).toMatchObject({ state: 'open', openForMs: 3_000, openings: 3 });
  });

  it('does not leave it half-open for ever when fewer probes are asked for than have succeeded', async () => {
    const before = new BreakerRig({ probes: 3 });
    await before.tripAndWait();
    await before.succeed(2);
    expect(before.state).toBe('half-open');
    const rig = before.reloaded({ probes: 1 });
    expect((await rig.call()).passed()).toBe(true);
    expect(rig.state).toBe('closed');
  });

  it('lets probes that are out decide', async () => {
    const before = new BreakerRig({});
    await before.tripAndWait();
    const probe = respond();
    before.start(probe);
    await settle();
    const rig = before.reloaded({ openFor: '20s' });
    expect(rig.start(silence).passed()).toBe(false);
    bodyOf(probe).complete();
    await settle();
    expect(rig.state).toBe('closed');
    expect(before.state).toBe('closed');
  });

  it('tells of later changes once, whichever policy they come through', async () => {
    const before = new BreakerRig({});
    const rig = before.reloaded({ openFor: '20s' });
    await rig.succeed();
    await before.fail(5);
    expect(rig.changes.filter(([, to]) => to === 'open')).toEqual([['closed', 'open', 20_000]]);
    expect(rig.state).toBe('open');
    expect((await before.call()).passed()).toBe(false);
  });
});
