import { describe, expect, it } from 'vitest';
import { AnswerFacts } from '../../src/core/dialect.ts';
import { attemptTimeout } from '../../src/policies/attempt-timeout.ts';
import { settle } from '../support/fake-clock.ts';
import { kit } from '../support/policy-kit.ts';
import { start } from './attempt-rig.ts';

const OFF = { connect: false, firstByte: false, idle: false } as const;
type Run = ReturnType<typeof start>;

const timersOf = ({ events }: Run): string[] => events.of('attempt-timed-out').map(({ reason }) => reason);

const streamed = (): AnswerFacts => Object.assign(new AnswerFacts(), { streamed: true });

async function headAfter(run: Run, ms: number): Promise<AnswerFacts> {
  run.wire.connect();
  run.wire.sent();
  await run.clock.advance(ms);
  run.wire.head();
  const facts = streamed();
  run.wire.reading(facts);
  await settle();
  return facts;
}

describe('attempt-timeout: first token', () => {
  it('gives up an answer that has begun and comes to no word in time, counted from when the request was sent', async () => {
    const run = start({ ...OFF, firstToken: '20s' });
    await run.clock.advance(5_000);
    await headAfter(run, 12_000);
    await run.clock.advance(7_999);
    expect(timersOf(run)).toEqual([]);
    await run.clock.advance(1);
    expect(timersOf(run)).toEqual(['first-token-timeout']);
    expect(await run.wire.body.completion).toMatchObject({ end: 'timed-out', reason: 'first_token_timeout' });
  });

  it('counts from when all was sent although the head came before any timer looked', async () => {
    const run = start({ ...OFF, connect: '60s', firstToken: '20s' });
    run.wire.connect();
    await run.clock.advance(15_000);
    run.wire.sent();
    await run.clock.advance(1_000);
    run.wire.head();
    run.wire.reading(streamed());
    await run.clock.advance(18_999);
    expect(timersOf(run)).toEqual([]);
    await run.clock.advance(1);
    expect(timersOf(run)).toEqual(['first-token-timeout']);
  });

  it('holds while somebody holds the answer back', async () => {
    const run = start({ connect: '5s', firstByte: false, idle: '60s', firstToken: '10s' });
    run.wire.connect();
    run.wire.sent();
    run.attempt.phase = 'receiving';
    run.wire.reading(streamed());
    for (let n = 0; n < 9; n++) {
      await run.clock.advance(1_000);
      run.wire.progress();
    }
    expect(timersOf(run)).toEqual([]);
    await run.clock.advance(1_000);
    expect(timersOf(run)).toEqual(['first-token-timeout']);
  });

  it('has no say once there was a word', async () => {
    const run = start({ ...OFF, firstToken: '20s' });
    const facts = await headAfter(run, 1_000);
    await run.clock.advance(18_000);
    facts.firstTokenAt = run.clock.now();
    await run.clock.advance(3_600_000);
    expect(timersOf(run)).toEqual([]);
  });

  it('has no say in answers that nobody reads', async () => {
    const run = start({ ...OFF, firstToken: '20s' });
    run.wire.connect();
    run.wire.sent();
    run.wire.head();
    await run.clock.advance(3_600_000);
    expect(timersOf(run)).toEqual([]);
  });
});

describe('attempt-timeout: minimum progress', () => {
  const SLOW = { ...OFF, minProgress: { bytes: '100B', per: '10s' } } as const;

  it('gives up an answer that trickles, although it is never silent', async () => {
    const run = start({ ...SLOW, idle: '5s' });
    await headAfter(run, 0);
    for (let n = 0; n < 9; n++) {
      await run.clock.advance(1_000);
      run.wire.receive(9);
    }
    expect(timersOf(run)).toEqual([]);
    await run.clock.advance(1_000);
    expect(timersOf(run)).toEqual(['too-slow']);
    expect(await run.wire.body.completion).toMatchObject({ end: 'timed-out', reason: 'too_slow' });
  });

  it('lets an answer live that brings enough in every stretch, and measures each anew', async () => {
    const run = start(SLOW);
    await headAfter(run, 0);
    for (let n = 0; n < 30; n++) {
      await run.clock.advance(9_000);
      run.wire.receive(100);
      await run.clock.advance(1_000);
    }
    expect(timersOf(run)).toEqual([]);
    await run.clock.advance(10_000);
    expect(timersOf(run)).toEqual(['too-slow']);
  });

  it('does not count time in which the client does not read', async () => {
    const run = start(SLOW);
    await headAfter(run, 0);
    run.wire.pause();
    await run.clock.advance(60_000);
    run.wire.resume();
    await run.clock.advance(9_000);
    expect(timersOf(run)).toEqual([]);
  });

  it('says nothing before the answer begins', async () => {
    const run = start(SLOW);
    run.wire.connect();
    run.wire.sent();
    await run.clock.advance(600_000);
    expect(timersOf(run)).toEqual([]);
  });

  it('leaves nothing behind at the end of the answer', async () => {
    const run = start({ ...SLOW, firstToken: '5s' });
    const facts = await headAfter(run, 0);
    facts.firstTokenAt = run.clock.now();
    run.wire.receive(500);
    run.wire.end();
    await settle();
    expect(run.clock.pendingTimers).toBe(0);
  });

  it('shows its bounds to operators', () => {
    const { deps } = kit();
    const options = attemptTimeout.schema.parse({ ...SLOW, firstToken: '20s' });
    expect(attemptTimeout.build(options, deps, undefined).snapshot()).toEqual({
      connectMs: false,
      firstByteMs: false,
      firstTokenMs: 20_000,
      idleMs: false,
      minProgressBytes: 100,
      minProgressPerMs: 10_000,
    });
  });
});
