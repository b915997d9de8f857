import { describe, expect, it } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { fail, finish } from '../support/policy-kit.ts';
import { requestsLeft } from '../policies/pacing-rig.ts';
import { PipelineRig, answers } from './pipeline-rig.ts';

const EVERY_SECOND = { kind: 'constant', initial: '1s', jitter: 'none' } as const;
const ONE_A_MINUTE = { requests: 1, per: '1m' };
const REFUSED = { kind: 'rejection', reason: 'rate_limited' };

describe('fallback -> rate-limit', () => {
  it('another upstream answers what the limit refuses, by its own limit', async () => {
    const rig = new PipelineRig();
    const toOther = { fallback: [{ upstream: 'other' }], rateLimit: ONE_A_MINUTE };
    rig.upstream('main', toOther, answers());
    rig.upstream('other', { rateLimit: ONE_A_MINUTE }, answers(201));
    const calls = [rig.start(), rig.start(), rig.start()];
    await rig.clock.advance(0);
    expect(calls.map(({ outcome }) => outcome())).toMatchObject([
      { head: { status: 200 } },
      { head: { status: 201 } },
      REFUSED,
    ]);
  });
});

describe('deadline -> rate-limit', () => {
  it('refuses at once what could not go before the deadline', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { deadline: { after: '10s' }, rateLimit: { ...ONE_A_MINUTE, maxWait: '5m' } },
      answers(),
    );
    finish(await settled(rig));
    const { outcome } = rig.start();
    await settle();
    expect(outcome()).toMatchObject(REFUSED);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('ends the wait of who turned out not to go in time', async () => {
    const rig = new PipelineRig();
    const limits = { requests: 1, per: '8s', maxWait: '5m', priority: { ageing: '1h' } };
    rig.upstream('main', { deadline: { after: '10s' }, rateLimit: limits }, answers());
    finish(await settled(rig));
    const low = rig.start({ request: { headers: ['x-priority', 'low'] } });
    await rig.clock.advance(1_000);
    const high = rig.start({ request: { headers: ['x-priority', 'high'] } });
    await rig.clock.advance(20_000);
    expect(high.outcome()).toMatchObject({ head: { status: 200 } });
    expect(low.outcome()).toMatchObject({ reason: 'deadline_exceeded' });
    expect(rig.attempts).toEqual(['main@0', 'main@8000']);
    expect(low.exchange.cancellation.listenerCount).toBe(0);
  });
});

describe('rate-limit -> retry', () => {
  it('counts a call once, however often it is tried', async () => {
    const rig = new PipelineRig();
    const policies = { rateLimit: { requests: 2, per: '1m' }, retry: { backoff: EVERY_SECOND } };
    rig.upstream('main', policies, answers(503), answers(503), answers());
    const first = rig.start();
    await rig.clock.advance(5_000);
    expect(first.outcome()).toMatchObject({ head: { status: 200 } });
    expect(rig.attempts).toHaveLength(3);
    expect(await settled(rig)).toMatchObject({ head: { status: 200 } });
    expect(await settled(rig)).toMatchObject(REFUSED);
  });

  it('a refusal is not tried again, and costs the budget nothing', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream(
      'main',
      { rateLimit: ONE_A_MINUTE, retry: { backoff: EVERY_SECOND } },
      answers(),
    );
    await settled(rig);
    const before = main.policies.get('retry')?.snapshot();
    expect(await settled(rig)).toMatchObject(REFUSED);
    await rig.clock.advance(10_000);
    expect(rig.attempts).toEqual(['main@0']);
    expect(main.policies.get('retry')?.snapshot()).toEqual(before);
  });
});

describe('rate-limit -> pacing', () => {
  it('what the provider leaves no room for has taken nothing from the limit', async () => {
    const rig = new PipelineRig();
    const policies = { rateLimit: { requests: 2, per: '1h' }, pacing: { maxWait: '1s' } };
    rig.upstream('main', policies, answers(200, requestsLeft(0, '20s')), answers());
    finish(await settled(rig));
    for (let i = 0; i < 3; i++) expect(await settled(rig)).toMatchObject({ reason: 'paced' });
    await rig.clock.advance(21_000);
    expect(await settled(rig)).toMatchObject({ head: { status: 200 } });
    expect(await settled(rig)).toMatchObject(REFUSED);
  });
});

describe('rate-limit -> bulkhead', () => {
  it('who leaves while it waits for a place has taken nothing from the limit', async () => {
    const rig = new PipelineRig();
    const policies = { rateLimit: { requests: 2, per: '1h' }, bulkhead: { maxConcurrent: 1 } };
    rig.upstream('main', policies, answers());
    const first = await settled(rig);
    const waiting = rig.start();
    await settle();
    waiting.exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(waiting.outcome()).toMatchObject({ reason: 'client_aborted', requestSent: 'no' });
    finish(first);
    expect(await settled(rig)).toMatchObject({ head: { status: 200 } });
    expect(await settled(rig)).toMatchObject(REFUSED);
  });
});

describe('rate-limit -> circuit-breaker', () => {
  it('refusals of the limit do not make the upstream look ill', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { rateLimit: ONE_A_MINUTE, circuitBreaker: { consecutiveFailures: 2 } }, answers());
    finish(await settled(rig));
    for (let i = 0; i < 10; i++) expect(await settled(rig)).toMatchObject(REFUSED);
    expect(rig.breakerOf('main').snapshot()).toMatchObject({ state: 'closed' });
    expect(rig.events.names).not.toContain('breaker-changed');
  });

  it('what an open circuit refuses takes nothing from the limit', async () => {
    const rig = new PipelineRig();
    const policies = { rateLimit: { requests: 4, per: '1h' }, circuitBreaker: { consecutiveFailures: 2 } };
    rig.upstream('main', policies, fail('connection_reset'), fail('connection_reset'), answers());
    await settled(rig);
    await settled(rig);
    for (let i = 0; i < 10; i++) expect(await settled(rig)).toMatchObject({ reason: 'circuit_open' });
    await rig.clock.advance(60_000);
    expect(await settled(rig)).toMatchObject({ head: { status: 200 } });
  });
});

async function settled(rig: PipelineRig) {
  const { outcome } = rig.start();
  await settle();
  const ended = outcome();
  if (!ended) throw new Error('the call waits');
  return ended;
}
