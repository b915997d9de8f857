import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/core/outcome.ts';
import { attemptTimeout } from '../../src/policies/attempt-timeout.ts';
import { settle } from '../support/fake-clock.ts';
import { NO_BODY, attemptAt, exchangeAt, fail, finish, kit } from '../support/policy-kit.ts';
import { StoppableClock, Wire, start } from './attempt-rig.ts';
import { policyContract } from './contract.ts';

policyContract({
  module: attemptTimeout,
  options: {},
  scope: (clock) => attemptAt(clock),
  timersDuringBody: 1,
});

const OFF = { connect: false, firstByte: false, idle: false } as const;
const reasonsOf = ({ events }: ReturnType<typeof start>) =>
  events.of('attempt-timed-out').map(({ reason, afterMs }) => ({ reason, afterMs }));

describe('attempt-timeout', () => {
  describe('connect', () => {
    it('gives up an attempt that gets no connection in time, at that time exactly', async () => {
      const run = start({ ...OFF, connect: '2s' });
      await run.clock.advance(1_999);
      expect(run.outcome()).toBeUndefined();
      await run.clock.advance(1);
      expect(run.outcome()).toMatchObject({ kind: 'failure', reason: 'connection_timeout' });
      expect(reasonsOf(run)).toEqual([{ reason: 'connect-timeout', afterMs: 2_000 }]);
    });

    it('has no say once there is a connection', async () => {
      const run = start({ ...OFF, connect: '2s' });
      await run.clock.advance(1_999);
      run.wire.connect();
      await run.clock.advance(3_600_000);
      expect(run.outcome()).toBeUndefined();
    });
  });

  describe('first byte', () => {
    it('gives up an attempt that gets no answer in time, counted from when the request was sent', async () => {
      const run = start({ ...OFF, firstByte: '10s' });
      await run.clock.advance(31_000);
      run.wire.connect();
      await run.clock.advance(32_500);
      run.wire.sent();
      await run.clock.advance(9_999);
      expect(run.outcome()).toBeUndefined();
      await run.clock.advance(1);
      expect(run.outcome()).toMatchObject({ kind: 'failure', reason: 'first_byte_timeout' });
      expect(reasonsOf(run)).toEqual([{ reason: 'first-byte-timeout', afterMs: 73_500 }]);
    });

    it('is not extended by interim answers', async () => {
      const run = start({ ...OFF, firstByte: '10s' });
      run.wire.connect();
      run.wire.sent();
      for (let i = 0; i < 9; i++) {
        await run.clock.advance(1_000);
        run.wire.interim();
      }
      await run.clock.advance(999);
      expect(run.outcome()).toBeUndefined();
      await run.clock.advance(1);
      expect(run.outcome()).toMatchObject({ reason: 'first_byte_timeout' });
    });

    it('has no say once the answer has begun', async () => {
      const run = start({ ...OFF, firstByte: '10s' });
      run.wire.connect();
      run.wire.sent();
      await run.clock.advance(9_999);
      run.wire.head();
      await run.clock.advance(3_600_000);
      expect(run.outcome()).toMatchObject({ kind: 'response' });
      expect(run.wire.body.ended).toBe(false);
    });
  });

  describe('idle', () => {
    it('breaks a body off after a silence, however long it has been going well', async () => {
      const run = start({ ...OFF, idle: '20s' });
      run.wire.connect();
      run.wire.sent();
      run.wire.head();
      for (let i = 0; i < 50; i++) {
        await run.clock.advance(19_000);
        run.wire.progress();
      }
      expect(run.wire.body.ended).toBe(false);
      await run.clock.advance(19_999);
      expect(run.wire.body.ended).toBe(false);
      await run.clock.advance(1);
      expect(await run.wire.body.completion).toMatchObject({ end: 'timed-out', reason: 'idle_timeout' });
    });

    it('does not count time in which the client does not read', async () => {
      const run = start({ ...OFF, idle: '20s' });
      run.wire.connect();
      run.wire.sent();
      run.wire.head();
      await run.clock.advance(10_000);
      run.wire.pause();
      await run.clock.advance(3_600_000);
      expect(run.wire.body.ended).toBe(false);
      run.wire.resume();
      await run.clock.advance(19_999);
      expect(run.wire.body.ended).toBe(false);
      await run.clock.advance(1);
      expect(run.wire.body.ended).toBe(true);
    });

    it('believes an upstream that stops reading the request to be stuck', async () => {
      const run = start({ ...OFF, idle: '20s' });
      run.wire.connect();
      await run.clock.advance(15_000);
      run.wire.progress();
      await run.clock.advance(19_999);
      expect(run.outcome()).toBeUndefined();
      await run.clock.advance(1);
      expect(run.outcome()).toMatchObject({ kind: 'failure', reason: 'write_timeout' });
    });

    it('does not blame the upstream for a client that sends its request slowly', async () => {
      const body = { ...NO_BODY, waitingForClient: true };
      const run = start({ ...OFF, idle: '20s' }, { body });
      run.wire.connect();
      await run.clock.advance(3_600_000);
      expect(run.outcome()).toBeUndefined();
      body.waitingForClient = false;
      run.wire.progress();
      await run.clock.advance(19_999);
      expect(run.outcome()).toBeUndefined();
      await run.clock.advance(1);
      expect(run.outcome()).toMatchObject({ reason: 'write_timeout' });
    });

    it('does not count while the answer is being waited for', async () => {
      const run = start({ ...OFF, idle: '20s' });
      run.wire.connect();
      run.wire.sent();
      await run.clock.advance(3_600_000);
      expect(run.outcome()).toBeUndefined();
    });
  });

  describe('together', () => {
    const bounds = { connect: '3s', firstByte: '60s', idle: '7s' } as const;

    it('each phase has its own bound, whichever of them is the shortest', async () => {
      for (const [phase, dueMs, reason] of [
        ['connecting', 3_000, 'connection_timeout'],
        ['sending', 7_000, 'write_timeout'],
        ['waiting', 60_000, 'first_byte_timeout'],
      ] as const) {
        const run = start(bounds);
        if (phase !== 'connecting') run.wire.connect();
        if (phase === 'waiting') run.wire.sent();
        await run.clock.advance(dueMs - 1);
        expect(run.outcome(), phase).toBeUndefined();
        await run.clock.advance(1);
        expect(run.outcome(), phase).toMatchObject({ reason });
      }
    });

    it.each([0, 1, 2_500, 2_999])(
      'is exact when a phase begins unseen, %i ms after the start',
      async (atMs) => {
        const run = start(bounds);
        await run.clock.advance(atMs);
        run.wire.connect();
        await run.clock.advance(6_999);
        expect(run.outcome()).toBeUndefined();
        await run.clock.advance(1);
        expect(run.outcome()).toMatchObject({ reason: 'write_timeout' });
      },
    );

    it('needs one timer, however much comes in', async () => {
      const run = start(bounds);
      run.wire.connect();
      run.wire.sent();
      run.wire.head();
      for (let i = 0; i < 1_000; i++) {
        await run.clock.advance(5);
        run.wire.progress();
        expect(run.clock.pendingTimers).toBe(1);
      }
    });

    it('needs no timer where nothing is bounded', async () => {
      const run = start(OFF);
      expect(run.clock.pendingTimers).toBe(0);
      run.wire.connect();
      run.wire.sent();
      run.wire.head();
      await settle();
      expect(run.clock.pendingTimers).toBe(0);
    });

    it('stops when the attempt fails, and when the body ends', async () => {
      const failing = start(bounds);
      failing.attempt.cancellation.cancel('client-aborted');
      await settle();
      expect(failing.clock.pendingTimers).toBe(0);
      expect(failing.events.all).toEqual([]);

      const answered = start(bounds);
      answered.wire.connect();
      answered.wire.sent();
      answered.wire.head();
      answered.wire.end();
      await settle();
      expect(answered.clock.pendingTimers).toBe(0);
    });

    it('tells of a timeout once and of nothing else', async () => {
      const run = start(bounds);
      await run.clock.advance(600_000);
      expect(run.events.names).toEqual(['attempt-timed-out']);
      expect(run.events.of('attempt-timed-out')[0]).toMatchObject({ attempt: run.attempt, upstream: 'main' });
    });
  });

  it('gives every attempt a fresh clock, however long the exchange has lasted', async () => {
    const { clock, deps } = kit();
    const policy = attemptTimeout.build(attemptTimeout.schema.parse({ connect: '2s' }), deps, undefined);
    const exchange = exchangeAt(clock);
    for (let i = 0; i < 3; i++) {
      await clock.advance(5_000);
      const attempt = attemptAt(clock, exchange);
      const wire = new Wire(clock);
      let outcome: Outcome | undefined;
      void policy.run(attempt, wire.next, attempt.cancellation).then((settled) => (outcome = settled));
      await clock.advance(1_999);
      expect(outcome).toBeUndefined();
      await clock.advance(1);
      expect(outcome).toMatchObject({ reason: 'connection_timeout' });
    }
  });

  describe('after a standstill of the process', () => {
    it('reads what has arrived before it believes in silence', async () => {
      const clock = new StoppableClock();
      const run = start({ ...OFF, idle: '20s' }, { clock });
      run.wire.connect();
      run.wire.sent();
      run.wire.head();
      clock.stopFor(60_000);
      await clock.inner.advance(20_000);
      expect(run.wire.body.ended).toBe(false);
      run.wire.progress();
      await clock.inner.advance(19_999);
      expect(run.wire.body.ended).toBe(false);
      await clock.inner.advance(1);
      expect(run.wire.body.ended).toBe(true);
    });

    it('still gives up soon when nothing has arrived', async () => {
      const clock = new StoppableClock();
      const run = start({ ...OFF, idle: '20s' }, { clock });
      run.wire.connect();
      run.wire.sent();
      run.wire.head();
      clock.stopFor(60_000);
      await clock.inner.advance(20_049);
      expect(run.wire.body.ended).toBe(false);
      await clock.inner.advance(1);
      expect(run.wire.body.ended).toBe(true);
    });

    it('does not take a timer that is merely late for one', async () => {
      const clock = new StoppableClock();
      const run = start({ ...OFF, connect: '2s' }, { clock });
      clock.stopFor(200);
      await clock.inner.advance(2_000);
      expect(run.outcome()).toMatchObject({ reason: 'connection_timeout' });
    });
  });

  it('does not notice the wall clock', async () => {
    const run = start({ ...OFF, connect: '2s' });
    run.clock.wallOffsetMs = 3_600_000;
    await run.clock.advance(1_999);
    run.clock.wallOffsetMs = -3_600_000;
    expect(run.outcome()).toBeUndefined();
    await run.clock.advance(1);
    expect(run.outcome()).toMatchObject({ reason: 'connection_timeout' });
  });

  it('leaves a failure as it is', async () => {
    const { clock, deps } = kit();
    const policy = attemptTimeout.build(attemptTimeout.schema.parse({}), deps, undefined);
    const attempt = attemptAt(clock);
    const failure = fail('connection_refused');
    expect(await policy.run(attempt, () => Promise.resolve(failure), attempt.cancellation)).toBe(failure);
    finish(failure);
  });

  it('shows its bounds in milliseconds', () => {
    const { deps } = kit();
    const options = attemptTimeout.schema.parse({ connect: '2s', idle: false });
    const policy = attemptTimeout.build(options, deps, undefined);
    expect(policy.snapshot()).toEqual({
      connectMs: 2_000,
      firstByteMs: 60_000,
      firstTokenMs: false,
      idleMs: false,
    });
  });
});
