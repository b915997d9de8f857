import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { after, bodyOf, finish, respond } from '../support/policy-kit.ts';
import { PipelineRig, answers, stalls } from './pipeline-rig.ts';
import type { Upstream } from './pipeline-rig.ts';

const EVERY_SECOND = { kind: 'constant', initial: '1s', jitter: 'none' } as const;
const ONE = { maxConcurrent: 1, queueTimeout: '1m' } as const;

const stateOf = ({ policies }: Upstream): unknown => policies.get('bulkhead')?.snapshot();

describe('bulkhead -> retry', () => {
  it('an exchange has one place over all its tries and the pauses between them', async () => {
    const rig = new PipelineRig();
    const policies = { bulkhead: ONE, retry: { backoff: EVERY_SECOND } };
    const main = rig.upstream('main', policies, answers(503), answers(503), answers(), answers());
    const first = rig.start();
    const second = rig.start();
    await rig.clock.advance(1_500);
    expect(stateOf(main)).toMatchObject({ active: 1, queued: 1 });
    await rig.clock.advance(1_000);
    expect(rig.attempts).toEqual(['main@0', 'main@1000', 'main@2000']);
    finish(first.outcome() ?? respond());
    await settle();
    expect(rig.attempts).toEqual(['main@0', 'main@1000', 'main@2000', 'main@2500']);
    finish(second.outcome() ?? respond());
    expect(stateOf(main)).toMatchObject({ active: 0, queued: 0, refused: 0 });
  });

  it('a refusal is not tried again, and costs the budget nothing', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream('main', { bulkhead: { maxConcurrent: 1, maxQueue: 0 }, retry: {} }, answers());
    rig.start();
    await settle();
    const before = main.policies.get('retry')?.snapshot();
    const { outcome } = rig.start();
    await rig.clock.advance(60_000);
    expect(outcome()).toMatchObject({ kind: 'rejection', reason: 'concurrency_limit' });
    expect(rig.attempts).toEqual(['main@0']);
    expect(main.policies.get('retry')?.snapshot()).toEqual(before);
  });

  it('a discarded answer of an earlier try does not give the place back', async () => {
    const rig = new PipelineRig();
    const policies = { bulkhead: ONE, retry: { backoff: EVERY_SECOND } };
    const main = rig.upstream('main', policies, answers(503), stalls('waiting'));
    rig.start();
    await rig.clock.advance(5_000);
    expect(stateOf(main)).toMatchObject({ active: 1 });
  });

  it('an adaptive limit sees each try, not the pauses between them', async () => {
    const rig = new PipelineRig();
    const adaptive = { algorithm: 'aimd', initial: 8, backoffRatio: 0.5, latencyThreshold: '5s' };
    const policies = {
      bulkhead: { adaptive },
      retry: { backoff: { ...EVERY_SECOND, initial: '8s' } },
      attemptTimeout: { firstByte: '2s' },
    };
    const main = rig.upstream('main', policies, answers(500), answers(), stalls('waiting'), answers());
    rig.start();
    await rig.clock.advance(20_000);
    expect(stateOf(main)).toMatchObject({ limit: 8 });
    rig.start();
    await rig.clock.advance(20_000);
    expect(rig.attempts).toHaveLength(4);
    expect(stateOf(main)).toMatchObject({ limit: 4 });
  });
});

describe('deadline -> bulkhead', () => {
  it('ends a wait, and says that nothing was sent', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream('main', { deadline: { after: '10s' }, bulkhead: ONE }, stalls('waiting'));
    rig.start();
    const { outcome } = rig.start({ callerTimeoutMs: 3_000 });
    await rig.clock.advance(3_000);
    expect(outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded', requestSent: 'no' });
    expect(stateOf(main)).toMatchObject({ active: 1, queued: 0 });
    await rig.clock.advance(7_000);
    expect(stateOf(main)).toMatchObject({ active: 0 });
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('refuses at once whose deadline cannot be met', async () => {
    const rig = new PipelineRig();
    const policies = { deadline: { after: '60s' }, bulkhead: ONE };
    rig.upstream('main', policies, (attempt, cancellation) =>
      after(rig.clock, 20_000, respond())(attempt, cancellation),
    );
    const first = rig.start();
    await rig.clock.advance(20_000);
    finish(first.outcome() ?? respond());
    rig.start();
    const hurried = rig.start({ callerTimeoutMs: 30_000 });
    await settle();
    expect(hurried.outcome()).toMatchObject({ kind: 'rejection', reason: 'concurrency_limit' });
    expect(rig.events.of('bulkhead-refused')).toMatchObject([{ why: 'too-late' }]);
    expect(rig.start().outcome()).toBeUndefined();
  });

  it('a deadline that passes in the middle of the body gives the place back', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream('main', { deadline: { after: '10s' }, bulkhead: ONE }, answers());
    rig.start();
    await rig.clock.advance(9_999);
    expect(stateOf(main)).toMatchObject({ active: 1 });
    await rig.clock.advance(1);
    expect(stateOf(main)).toMatchObject({ active: 0 });
  });
});

describe('bulkhead -> circuit-breaker', () => {
  it('a refusal by the breaker gives the place back at once, and is no drop', async () => {
    const rig = new PipelineRig();
    const policies = {
      bulkhead: { maxConcurrent: 8, adaptive: { algorithm: 'aimd' } },
      circuitBreaker: { consecutiveFailures: 1, openFor: '60s' },
    };
    const main = rig.upstream('main', policies, answers(500));
    const first = rig.start();
    await settle();
    bodyOf(first.outcome()).complete();
    for (let i = 0; i < 30; i++) rig.start();
    await settle();
    expect(stateOf(main)).toMatchObject({ active: 0, queued: 0, refused: 0, limit: 8 });
  });

  it('those who wait for a place are neither failures nor slow calls', async () => {
    const rig = new PipelineRig();
    const circuitBreaker = { consecutiveFailures: 1, slowCallRatio: 0.1, slowCall: '2s', minimumCalls: 1 };
    rig.upstream('main', { bulkhead: { ...ONE, queueTimeout: '5s' }, circuitBreaker }, answers());
    const first = rig.start();
    const [second, third] = [rig.start(), rig.start()];
    await rig.clock.advance(3_000);
    bodyOf(first.outcome()).complete();
    await rig.clock.advance(10_000);
    expect(second.outcome()).toMatchObject({ head: { status: 200 } });
    expect(third.outcome()).toMatchObject({ reason: 'concurrency_limit' });
    expect(rig.breakerOf('main').state).toBe('closed');
  });

  it('holds its place for a body, and for a tunnel, to their ends', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream('main', { bulkhead: ONE, circuitBreaker: {} }, answers(), () =>
      respond(101, { tunnel: new PassThrough() }),
    );
    const stream = rig.start();
    await rig.clock.advance(3_600_000);
    expect(stateOf(main)).toMatchObject({ active: 1 });
    bodyOf(stream.outcome()).breakOff();
    const tunnel = rig.start();
    await rig.clock.advance(3_600_000);
    expect(stateOf(main)).toMatchObject({ active: 1 });
    bodyOf(tunnel.outcome()).complete();
    expect(stateOf(main)).toMatchObject({ active: 0 });
  });
});

describe('fallback -> bulkhead', () => {
  it('answers what is refused, from an upstream that has places of its own', async () => {
    const rig = new PipelineRig();
    const ladder = { fallback: [{ upstream: 'other' }] };
    rig.upstream('main', { ...ladder, bulkhead: { maxConcurrent: 1, maxQueue: 0 } }, answers());
    const other = rig.upstream('other', { bulkhead: ONE }, answers());
    rig.start();
    const { outcome } = rig.start();
    await settle();
    expect(outcome()).toMatchObject({ head: { status: 200 } });
    expect(rig.attempts).toEqual(['main@0', 'other@0']);
    expect(rig.events.of('fallback-taken')).toMatchObject([{ trigger: 'concurrency_limit', answered: true }]);
    expect(stateOf(other)).toMatchObject({ active: 1 });
  });

  it('a ladder that is climbed while the call waits takes it out of the queue', async () => {
    const rig = new PipelineRig();
    const ladder = { fallback: { after: '2s', steps: [{ upstream: 'other' }] } };
    const main = rig.upstream('main', { ...ladder, bulkhead: ONE }, answers());
    rig.upstream('other', {}, answers());
    rig.start();
    const { outcome } = rig.start();
    await rig.clock.advance(2_000);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
    expect(stateOf(main)).toMatchObject({ active: 1, queued: 0 });
  });

  it('what the ladder keeps for the case that no step can answer holds no place while the steps are asked', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream('main', { fallback: [{ upstream: 'other' }], bulkhead: ONE }, answers(503));
    rig.upstream('other', {}, stalls('waiting'));
    const { outcome, exchange } = rig.start();
    await rig.clock.advance(1_000);
    expect(rig.attempts).toEqual(['main@0', 'other@0']);
    expect(stateOf(main)).toMatchObject({ active: 0 });
    exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(outcome()).toBeDefined();
  });

  it('what comes by a ladder can rank below what comes by the own route', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [{ upstream: 'other' }] }, answers(500));
    const priority = { routes: { '/main': 'low' } };
    const other = rig.upstream('other', { bulkhead: { ...ONE, priority } }, answers());
    const send = (route: string) => {
      const { exchange } = rig.prepare({ route, upstream: { name: 'other' } });
      return other.send(exchange, exchange.cancellation);
    };
    const holder = await send('/other');
    rig.start({ route: '/main' });
    await settle();
    const own = send('/other');
    finish(holder);
    expect(await own).toMatchObject({ head: { status: 200 } });
    expect(stateOf(other)).toMatchObject({ active: 1, queued: 1 });
  });
});
