import { describe, expect, it } from 'vitest';
import { requestsLeft } from '../policies/pacing-rig.ts';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, finish, respond } from '../support/policy-kit.ts';
import { PipelineRig, answers, stalls } from './pipeline-rig.ts';

const EVERY_SECOND = { kind: 'constant', initial: '1s', jitter: 'none' } as const;
const AT_ONCE = { spread: '0s' } as const;
const EMPTY_FOR_20_S = requestsLeft(0, '20s');

describe('retry -> pacing', () => {
  it('every try waits for room, not only the first', async () => {
    const rig = new PipelineRig();
    const refusal = answers(503, EMPTY_FOR_20_S);
    rig.upstream('main', { retry: { backoff: EVERY_SECOND }, pacing: AT_ONCE }, refusal, answers());
    const { outcome } = rig.start();
    await rig.clock.advance(60_000);
    expect(rig.attempts).toEqual(['main@0', 'main@20000']);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
  });

  it('a refusal is not tried again, and costs the budget nothing', async () => {
    const rig = new PipelineRig();
    const policies = { retry: { backoff: EVERY_SECOND }, pacing: { maxWait: '5s' } };
    const main = rig.upstream('main', policies, answers(200, EMPTY_FOR_20_S));
    rig.start();
    await settle();
    const before = main.policies.get('retry')?.snapshot();
    const { outcome } = rig.start();
    await rig.clock.advance(0);
    expect(outcome()).toMatchObject({ kind: 'rejection', reason: 'paced', retryAfterMs: 20_000 });
    expect(rig.attempts).toEqual(['main@0']);
    expect(main.policies.get('retry')?.snapshot()).toEqual(before);
  });

  it('a 429 holds new calls as long as its own retry', async () => {
    const rig = new PipelineRig();
    const refusal = answers(429, ['retry-after', '3']);
    rig.upstream('main', { retry: {}, pacing: AT_ONCE }, refusal, answers(), answers());
    const first = rig.start();
    await rig.clock.advance(1_000);
    const second = rig.start();
    await rig.clock.advance(10_000);
    expect(rig.attempts).toEqual(['main@0', 'main@3000', 'main@3000']);
    for (const { outcome } of [first, second]) expect(outcome()).toMatchObject({ head: { status: 200 } });
  });
});

describe('deadline -> pacing', () => {
  it('refuses at once what could not go before the deadline', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { deadline: { after: '10s' }, pacing: {} }, answers(200, EMPTY_FOR_20_S));
    const first = rig.start();
    await settle();
    bodyOf(first.outcome()).complete();
    const { outcome } = rig.start();
    await settle();
    expect(outcome()).toMatchObject({ kind: 'rejection', reason: 'paced' });
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('ends a wait that comes to nothing, and says that nothing was sent', async () => {
    const rig = new PipelineRig();
    const policies = { deadline: { after: '10s' }, pacing: {} };
    // All that is left is under way and says nothing: nobody knows when there will be room.
    rig.upstream('main', policies, answers(200, requestsLeft(0, '2s', 1)), stalls('waiting'));
    const first = rig.start();
    await settle();
    bodyOf(first.outcome()).complete();
    await rig.clock.advance(2_000);
    rig.start();
    const { outcome } = rig.start({ callerTimeoutMs: 5_000 });
    await rig.clock.advance(5_000);
    expect(outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded', requestSent: 'no' });
    await rig.clock.advance(5_000);
    expect(rig.clock.pendingTimers).toBe(0);
  });
});

describe('pacing -> circuit-breaker', () => {
  it('a wait is no slow call', async () => {
    const rig = new PipelineRig();
    const policies = {
      pacing: AT_ONCE,
      circuitBreaker: { slowCallRatio: 0.1, slowCall: '5s', minimumCalls: 1, consecutiveFailures: false },
    };
    rig.upstream('main', policies, answers(200, EMPTY_FOR_20_S), answers());
    for (let i = 0; i < 3; i++) rig.start();
    await rig.clock.advance(30_000);
    expect(rig.attempts).toHaveLength(3);
    expect(rig.breakerOf('main').state).toBe('closed');
  });

  it('a refusal by the breaker holds no reservation', async () => {
    const rig = new PipelineRig();
    const policies = { pacing: {}, circuitBreaker: { consecutiveFailures: 1, openFor: '60s' } };
    const main = rig.upstream('main', policies, answers(500, requestsLeft(5, '60s')));
    rig.start();
    await settle();
    for (let i = 0; i < 20; i++) {
      const { outcome } = rig.start();
      await settle();
      expect(outcome()).toMatchObject({ reason: 'circuit_open' });
    }
    expect(main.policies.get('pacing')?.snapshot()).toMatchObject({
      queued: 0,
      limits: [{ dimension: 'requests', limit: 10, remaining: 5 }],
    });
  });
});

describe('fallback -> pacing', () => {
  it('answers what is refused, from an upstream that has a limit of its own', async () => {
    const rig = new PipelineRig();
    const ladder = { fallback: [{ upstream: 'other' }] };
    rig.upstream('main', { ...ladder, pacing: { maxWait: '5s' } }, answers(200, EMPTY_FOR_20_S));
    rig.upstream('other', { pacing: {} }, answers());
    rig.start();
    await settle();
    const { outcome } = rig.start();
    await settle();
    expect(outcome()).toMatchObject({ head: { status: 200 } });
    expect(rig.attempts).toEqual(['main@0', 'other@0']);
    expect(rig.events.of('fallback-taken')).toMatchObject([{ trigger: 'paced', answered: true }]);
  });
});

describe('pacing', () => {
  it('hands answers on as they are, whatever their heads say', async () => {
    const rig = new PipelineRig();
    const answer = respond(200, { headers: EMPTY_FOR_20_S });
    rig.upstream('main', { pacing: {} }, answer);
    const { outcome } = rig.start();
    await settle();
    const given = outcome();
    expect(given).toMatchObject({ head: answer.head });
    expect(bodyOf(given).pipes).toBe(0);
    if (given) finish(given);
  });
});
