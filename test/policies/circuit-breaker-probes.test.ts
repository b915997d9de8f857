import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, cancelledOutcome, fail, refuse, respond, silence } from '../support/policy-kit.ts';
import { BreakerRig } from './breaker-rig.ts';

describe('circuit-breaker: probes', () => {
  it('lets one call through when the time is over, and refuses everyone else at once', async () => {
    const rig = new BreakerRig({});
    await rig.tripAndWait();
    const probe = rig.start(silence);
    expect(rig.state).toBe('half-open');
    const others = [rig.start(), rig.start(), rig.start()];
    await settle();
    expect(probe.passed()).toBe(true);
    for (const other of others) {
      expect(other.passed()).toBe(false);
      expect(other.outcome()).toMatchObject({ reason: 'circuit_open', retryAfterMs: 1_000 });
    }
  });

  it('closes when the probe has brought its whole body, not before', async () => {
    const rig = new BreakerRig({});
    await rig.tripAndWait();
    const answer = respond();
    rig.start(answer);
    await settle();
    expect(rig.state).toBe('half-open');
    expect(rig.start().passed()).toBe(false);
    bodyOf(answer).complete();
    await settle();
    expect(rig.state).toBe('closed');
    expect((await rig.call()).passed()).toBe(true);
  });

  it.each([
    ['fails', (rig: BreakerRig) => rig.call(fail('connection_refused'))],
    ['gets a 503', (rig: BreakerRig) => rig.call(respond(503))],
    [
      'gets a body that breaks off',
      async (rig: BreakerRig) => {
        const answer = respond();
        rig.start(answer);
        await settle();
        bodyOf(answer).breakOff();
        await settle();
      },
    ],
    [
      'gets a body that stalls',
      async (rig: BreakerRig) => {
        const answer = respond();
        rig.start(answer);
        await settle();
        bodyOf(answer).failByTimer();
        await settle();
      },
    ],
  ])('opens again, for longer, when the probe %s', async (_, probe) => {
    const rig = new BreakerRig({});
    await rig.tripAndWait();
    await probe(rig);
    expect(rig.policy.snapshot()).toMatchObject({ state: 'open', openForMs: 30_000, openings: 2 });
  });

  it('closes after as many successes as there are probes, and sends no more of them at a time', async () => {
    const rig = new BreakerRig({ probes: 3 });
    await rig.tripAndWait();
    const answers = [respond(), respond(), respond()];
    const probes = answers.map((answer) => rig.start(answer));
    expect(probes.every(({ passed }) => passed())).toBe(true);
    expect(rig.start().passed()).toBe(false);
    await settle();
    for (const answer of answers.slice(0, 2)) bodyOf(answer).complete();
    await settle();
    expect(rig.state).toBe('half-open');
    expect(rig.start().passed()).toBe(false);
    for (const answer of answers.slice(2)) bodyOf(answer).complete();
    await settle();
    expect(rig.state).toBe('closed');
  });

  it('opens again at the first of several probes that fails, whatever the others bring later', async () => {
    const rig = new BreakerRig({ probes: 3 });
    await rig.tripAndWait();
    const [good, late] = [respond(), respond()];
    rig.start(good);
    rig.start(late);
    await settle();
    bodyOf(good).complete();
    await rig.fail();
    expect(rig.policy.snapshot()).toMatchObject({ state: 'open', openings: 2 });
    bodyOf(late).complete();
    await settle();
    expect(rig.state).toBe('open');
    await rig.clock.advance(30_000);
    await rig.succeed(2);
    expect(rig.state).toBe('half-open');
    await rig.succeed();
    expect(rig.state).toBe('closed');
  });

  it.each([
    ['a 404', () => respond(404)],
    ['a 429', () => respond(429)],
    ['a 401', () => respond(401)],
    ['a departure of the client', () => cancelledOutcome('client-aborted')],
    ['too little time given by the caller', () => cancelledOutcome('caller-deadline')],
    ['an answer that came too late for a ladder', () => cancelledOutcome('superseded')],
    ['a refusal inside', () => refuse('no_endpoint')],
    [
      'an idle connection that closed at its reuse',
      () => fail('connection_reset', { staleConnection: true }),
    ],
  ])('gives the place of a probe that ended in %s to another', async (_, make) => {
    const rig = new BreakerRig({});
    await rig.tripAndWait();
    for (let i = 0; i < 5; i++) {
      expect((await rig.call(make())).passed()).toBe(true);
      expect(rig.state).toBe('half-open');
    }
    await rig.succeed();
    expect(rig.state).toBe('closed');
  });

  it.each(['client-aborted', 'superseded', 'shutdown', 'caller-deadline'] as const)(
    'gives the place of a probe whose body ended by %s to another: a head is no proof',
    async (cancelled) => {
      const rig = new BreakerRig({});
      await rig.tripAndWait();
      const answer = respond();
      rig.start(answer);
      await settle();
      bodyOf(answer).failByCancel(cancelled);
      await settle();
      expect(rig.state).toBe('half-open');
      expect(rig.start(silence).passed()).toBe(true);
    },
  );

  it('gives the place of a probe whose answer nobody took to another', async () => {
    const rig = new BreakerRig({});
    await rig.tripAndWait();
    const answer = respond();
    rig.start(answer);
    await settle();
    bodyOf(answer).discard();
    await settle();
    expect(rig.state).toBe('half-open');
    expect(rig.start(silence).passed()).toBe(true);
  });

  it('does not stay half-open for ever where probes bring nothing but 404', async () => {
    const rig = new BreakerRig({ probeTimeout: '10s' });
    await rig.tripAndWait();
    await rig.call(respond(404));
    await rig.clock.advance(9_999);
    await rig.call(respond(404));
    expect(rig.state).toBe('half-open');
    await rig.clock.advance(1);
    const calls = [rig.start(silence), rig.start(silence), rig.start(silence)];
    expect(calls.every(({ passed }) => passed())).toBe(true);
    expect(rig.changes.at(-1)).toEqual(['half-open', 'closed', 0]);
  });

  it('takes a switch of protocols for a success at once: a tunnel may last for days', async () => {
    const rig = new BreakerRig({});
    await rig.tripAndWait();
    rig.start(respond(101, { tunnel: new PassThrough() }));
    await settle();
    expect(rig.state).toBe('closed');
  });

  describe('that get stuck', () => {
    it('free their place after probeTimeout when no answer has begun', async () => {
      const rig = new BreakerRig({ probeTimeout: '10s' });
      await rig.tripAndWait();
      const stuck = rig.start(silence);
      await rig.clock.advance(9_999);
      expect(rig.start().passed()).toBe(false);
      await rig.clock.advance(1);
      expect(rig.start(silence).passed()).toBe(true);
      expect(rig.state).toBe('half-open');
      expect(stuck.outcome()).toBeUndefined();
    });

    it('count as successes after probeTimeout when their answer is coming in', async () => {
      const rig = new BreakerRig({ probeTimeout: '10s' });
      await rig.tripAndWait();
      const answer = respond();
      rig.start(answer);
      await rig.clock.advance(9_999);
      expect(rig.start().passed()).toBe(false);
      await rig.clock.advance(1);
      expect((await rig.call()).passed()).toBe(true);
      expect(rig.state).toBe('closed');
      bodyOf(answer).breakOff();
      await settle();
      expect(rig.state).toBe('closed');
      expect(rig.policy.snapshot()).toMatchObject({ failures: 0 });
    });

    it('have no say any more once their place was given away', async () => {
      const rig = new BreakerRig({ probeTimeout: '10s' });
      await rig.tripAndWait();
      const stuck = rig.start(silence);
      await rig.clock.advance(10_000);
      const second = respond();
      rig.start(second);
      await settle();
      stuck.exchange.cancellation.cancel('first-byte-timeout');
      await settle();
      expect(stuck.outcome()).toMatchObject({ reason: 'first_byte_timeout' });
      expect(rig.state).toBe('half-open');
      expect(rig.start().passed()).toBe(false);
      bodyOf(second).complete();
      await settle();
      expect(rig.state).toBe('closed');
    });
  });

  it('are not decided by calls from before the opening', async () => {
    const rig = new BreakerRig({});
    const [failing, succeeding] = [respond(), respond()];
    rig.start(failing);
    rig.start(succeeding);
    await rig.tripAndWait();
    rig.start(silence);
    bodyOf(failing).breakOff();
    bodyOf(succeeding).complete();
    await settle();
    expect(rig.state).toBe('half-open');
    expect(rig.start().passed()).toBe(false);
  });

  it('leave no trace in the window of the closed circuit', async () => {
    const rig = new BreakerRig({});
    await rig.tripAndWait();
    await rig.succeed();
    expect(rig.policy.snapshot()).toMatchObject({ calls: 0, failures: 0, openings: 0, openForMs: 0 });
    await rig.fail(4);
    expect(rig.state).not.toBe('open');
  });
});
