import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { settle } from '../support/fake-clock.ts';
import { IdempotencyRig, answer, summary } from '../policies/idempotency-rig.ts';
import { after, attemptAt, bytesBody, fail, finish, refuse, respond } from '../support/policy-kit.ts';
import type { ExchangeParts } from '../support/policy-kit.ts';
import { SharedBody } from '../../src/streams/shared-body.ts';
import { PacedSource, read } from '../streams/shared-rig.ts';
import { PipelineRig, answers, stalls } from './pipeline-rig.ts';
import type { Call } from './pipeline-rig.ts';

const AT_ONCE = { backoff: { kind: 'constant', initial: '0s', jitter: 'none' }, budget: false } as const;

const keyed = (key = 'k', parts: ExchangeParts = {}): ExchangeParts => ({
  body: bytesBody(Buffer.from('body')),
  ...parts,
  request: { method: 'POST', headers: ['Idempotency-Key', key] },
});

/** An answer that is there as a whole. */
const whole =
  (status: number, headers: readonly string[] = []) =>
  (): Outcome => {
    const source = new PacedSource();
    source.push('answer');
    source.finish();
    return respond(status, { body: source, headers });
  };

const endOf = (call: Call): unknown => {
  const outcome = call.outcome();
  return outcome?.kind === 'response' ? [outcome.head.status, outcome.from] : outcome?.reason;
};

async function sent(rig: PipelineRig, parts: ExchangeParts = keyed()): Promise<Call> {
  const call = rig.start(parts);
  await settle();
  const outcome = call.outcome();
  if (outcome) finish(outcome);
  return call;
}

describe('deadline -> idempotency', () => {
  it('a duplicate has its own deadline, and is told to come again before it', async () => {
    const rig = new PipelineRig();
    const slow = (attempt: Attempt, cancellation: Attempt['cancellation']): Promise<Outcome> =>
      after(rig.clock, 20_000, respond())(attempt, cancellation);
    rig.upstream('main', { deadline: {}, idempotency: {} }, slow);
    const first = rig.start(keyed());
    await settle();
    const second = rig.start(keyed('k', { callerTimeoutMs: 3_000 }));
    await rig.clock.advance(3_000);
    expect(endOf(second)).toBe('idempotency_in_progress');
    await rig.clock.advance(17_000);
    expect(endOf(first)).toEqual([200, 'upstream']);
    expect(rig.attempts).toEqual(['main@0']);
  });

  it('the deadline ends the run, which is unknown then', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { deadline: { after: '2s' }, idempotency: {} }, stalls('waiting'));
    const first = rig.start(keyed());
    await rig.clock.advance(2_000);
    expect(endOf(first)).toBe('deadline_exceeded');
    expect(endOf(await sent(rig))).toBe('outcome_unknown');
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('the deadline bounds a run whose client has left', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { deadline: { after: '10s' }, idempotency: { finish: '1h' } }, stalls('waiting'));
    const first = rig.start(keyed());
    await rig.clock.advance(4_000);
    first.exchange.cancellation.cancel('client-aborted');
    await rig.clock.advance(5_999);
    expect(first.exchange.attempts[0]?.cancellation.cancelled).toBe(false);
    await rig.clock.advance(1);
    expect(first.exchange.attempts[0]?.cancellation.reason).toBe('deadline');
  });
});

describe('fallback -> idempotency', () => {
  const LADDER = { fallback: [{ upstream: 'spare' }], idempotency: {} };

  it('no ladder goes around what is unknown, a mistake, or under way', async () => {
    const rig = new PipelineRig();
    const on = { steps: [{ upstream: 'spare' }], on: { classes: ['refused'] } };
    const main = { fallback: on, idempotency: { maxWait: '1s' } };
    rig.upstream('main', main, () => fail('connection_reset'), stalls('waiting'));
    rig.upstream('spare', {}, whole(200));
    expect(endOf(await sent(rig))).toBe('connection_reset');
    expect(endOf(await sent(rig))).toBe('outcome_unknown');
    expect(endOf(await sent(rig, keyed('k', { body: bytesBody(Buffer.from('other')) })))).toBe(
      'idempotency_key_reused',
    );
    await sent(rig, keyed('l'));
    const second = rig.start(keyed('l'));
    await rig.clock.advance(1_000);
    expect(endOf(second)).toBe('idempotency_in_progress');
    expect(rig.attempts.filter((one) => one.startsWith('spare'))).toEqual([]);
  });

  it('a ladder keeps the answers of its steps apart', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', LADDER, () => fail('connection_refused', { requestSent: 'no' }));
    const spare = rig.upstream('spare', { idempotency: {} }, whole(200));
    expect(endOf(await sent(rig))).toEqual([200, 'upstream']);
    expect(endOf(await sent(rig))).toEqual([200, 'replay']);
    expect(spare.wire.calls).toHaveLength(1);
  });
});

describe('idempotency -> retry', () => {
  it('all tries are one run, and its end is the result', async () => {
    const rig = new PipelineRig();
    const policies = { idempotency: {}, retry: AT_ONCE };
    rig.upstream('main', policies, () => fail('connection_reset'), whole(503), whole(201));
    const first = await sent(rig);
    expect(endOf(first)).toEqual([201, 'upstream']);
    expect(first.exchange.attempts).toHaveLength(3);
    const second = await sent(rig);
    expect([endOf(second), second.exchange.attempts.length]).toEqual([[201, 'replay'], 0]);
    expect(second.exchange.ownsRetries).toBe(false);
    expect(rig.attempts).toHaveLength(3);
  });

  it('a try that may have acted makes the run unknown, whatever came after it', async () => {
    for (const last of [() => fail('connection_refused', { requestSent: 'no' }), whole(429)]) {
      const rig = new PipelineRig();
      rig.upstream('main', { idempotency: {}, retry: { ...AT_ONCE, maxRetries: 1 } }, () => fail(), last);
      await sent(rig);
      expect(rig.attempts).toHaveLength(2);
      expect(endOf(await sent(rig))).toBe('outcome_unknown');
    }
  });

  it('what was never sent is run again, retries and all', async () => {
    const rig = new PipelineRig();
    const unsent = (): Outcome => fail('connection_refused', { requestSent: 'no' });
    rig.upstream(
      'main',
      { idempotency: {}, retry: { ...AT_ONCE, maxRetries: 1 } },
      unsent,
      unsent,
      whole(200),
    );
    expect(endOf(await sent(rig))).toBe('connection_refused');
    expect(endOf(await sent(rig))).toEqual([200, 'upstream']);
  });

  it('nothing is repeated for a key that the upstream does not get', async () => {
    for (const idempotency of [{ forward: 'none' }, { derive: 'body' }]) {
      const rig = new PipelineRig();
      rig.upstream('main', { idempotency, retry: AT_ONCE }, () => fail('connection_reset'));
      const parts = keyed();
      const request = 'derive' in idempotency ? { method: 'POST' } : parts.request;
      await sent(rig, { ...parts, ...(request && { request }) });
      expect(rig.attempts).toHaveLength(1);
    }
    const rig = new PipelineRig();
    const idempotency = { derive: 'body', forward: 'all' };
    rig.upstream('main', { idempotency, retry: AT_ONCE }, () => fail('connection_reset'), whole(200));
    expect(endOf(await sent(rig, { ...keyed(), request: { method: 'POST' } }))).toEqual([200, 'upstream']);
    expect(rig.attempts).toHaveLength(2);
  });
});

describe('idempotency -> circuit-breaker', () => {
  it('a refusal is forgotten: the key is good for the time when the circuit has closed', async () => {
    const rig = new PipelineRig();
    const policies = { idempotency: {}, circuitBreaker: { consecutiveFailures: 1 } };
    rig.upstream('main', policies, whole(500), whole(200));
    await sent(rig, keyed('other'));
    expect(endOf(await sent(rig))).toBe('circuit_open');
    await rig.clock.advance(120_000);
    expect(endOf(await sent(rig))).toEqual([200, 'upstream']);
  });
});

describe('idempotency -> two attempts side by side', () => {
  it('the answer that won is the result, whatever becomes of the other', async () => {
    const rig: IdempotencyRig = new IdempotencyRig({}, (exchange) => {
      const loser = attemptAt(rig.kit.clock, exchange);
      loser.phase = 'waiting';
      const winner = attemptAt(rig.kit.clock, exchange);
      winner.sent = 'maybe';
      return answer('won');
    });
    expect(await rig.text('k')).toBe('won');
    expect(await rig.text('k')).toBe('won');
    expect(rig.runs).toBe(1);
  });

  it('a refusal beside one that may have acted is no word on the effect', async () => {
    const rig: IdempotencyRig = new IdempotencyRig({}, (exchange) => {
      const loser = attemptAt(rig.kit.clock, exchange);
      loser.phase = 'waiting';
      return refuse('circuit_open');
    });
    await rig.settled('k');
    expect(summary(await rig.settled('k'))).toBe('outcome_unknown');
  });
});

describe('cache -> idempotency', () => {
  it('a body that is shared twice is the same for all, through cuts and pauses', () => {
    for (const broken of [false, true]) {
      const rig = new PipelineRig();
      const source = new PacedSource();
      const inner = new SharedBody(source, { clock: rig.clock, maxBytes: 10_000 });
      const mine = inner.join();
      if (!mine) throw new Error('nobody can join');
      const outer = new SharedBody(mine, { clock: rig.clock, maxBytes: 100, lagBytes: 100 });
      const sinks = [read(outer.join(), true), read(outer.join())];
      inner.start();
      outer.start();
      for (let i = 0; i < 20; i++) source.push(`chunk ${i};`);
      if (broken) source.breakOff();
      else source.finish();
      for (const sink of sinks) sink.drain();
      const texts = sinks.map(({ text }) => text);
      expect(new Set(texts).size).toBe(1);
      expect(sinks.map(({ aborted }) => aborted?.end)).toEqual(
        Array(2).fill(broken ? 'upstream-aborted' : undefined),
      );
    }
  });
});

describe('idempotency -> spend-cap', () => {
  it('a duplicate costs nothing', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { idempotency: {}, spendCap: { tokens: 1 } }, answers());
    const [first, second] = [rig.start(keyed()), rig.start(keyed())];
    await settle();
    expect([first, second].map(endOf)).toEqual([
      [200, 'upstream'],
      [200, 'replay'],
    ]);
    expect([first.exchange.attempts.length, second.exchange.attempts.length]).toEqual([1, 0]);
    expect(second.exchange.spend).toBeUndefined();
  });
});
