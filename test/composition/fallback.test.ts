import { describe, expect, it } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, fail, respond, textOf } from '../support/policy-kit.ts';
import { PipelineRig, answers, stalls } from './pipeline-rig.ts';

const STATIC = { static: { body: 'sorry' } } as const;
const EVERY_SECOND = { kind: 'constant', initial: '1s', jitter: 'none' } as const;

describe('fallback -> deadline', () => {
  it('answers when the time is up', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [STATIC], deadline: { after: '5s' } }, stalls('waiting'));
    const { outcome } = rig.start();
    await rig.clock.advance(5_000);
    expect(outcome()).toMatchObject({ from: 'fallback' });
    expect(rig.events.of('fallback-taken')).toMatchObject([{ trigger: 'deadline_exceeded' }]);
  });

  it('answers when the caller’s own time is up, too: somebody may still listen', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [STATIC], deadline: {} }, stalls('waiting'));
    const { outcome } = rig.start({ callerTimeoutMs: 100 });
    await rig.clock.advance(100);
    expect(outcome()).toMatchObject({ from: 'fallback' });
  });

  it('gives another upstream its own deadline, but not more than the caller gave in all', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [{ upstream: 'other' }], deadline: { after: '5s' } }, stalls('waiting'));
    rig.upstream('other', { deadline: { after: '4s' } }, stalls('waiting'));
    const patient = rig.start();
    await rig.clock.advance(8_999);
    expect(patient.outcome()).toBeUndefined();
    await rig.clock.advance(1);
    expect(patient.outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded' });

    const hasty = rig.start({ callerTimeoutMs: 6_000 });
    await rig.clock.advance(5_999);
    expect(hasty.outcome()).toBeUndefined();
    await rig.clock.advance(1);
    expect(hasty.outcome()).toMatchObject({ reason: 'deadline_exceeded' });
  });

  it('counts no deadline of the first while its complete answer is kept for the case that nobody has a better one', async () => {
    const rig = new PipelineRig();
    const policies = { fallback: [{ upstream: 'other' }], deadline: { after: '5s' } };
    rig.upstream('main', policies, (attempt) => {
      attempt.phase = 'ended';
      return respond(503, { attempt: attempt.number });
    });
    rig.upstream('other', { deadline: { after: '60s' } }, stalls('waiting'));
    const { outcome } = rig.start();
    await rig.clock.advance(59_999);
    expect(rig.events.of('deadline-exceeded')).toEqual([]);
    await rig.clock.advance(1);
    expect(rig.events.of('deadline-exceeded')).toMatchObject([{ upstream: 'other' }]);
    expect(outcome()).toMatchObject({ head: { status: 503 }, attempt: 1 });
  });

  it('does not ask another upstream when the caller’s time is over', async () => {
    const rig = new PipelineRig();
    const policies = { fallback: [{ upstream: 'other' }, STATIC], deadline: {} };
    rig.upstream('main', policies, stalls('waiting'));
    const other = rig.upstream('other', { deadline: {} }, answers());
    const { outcome } = rig.start({ callerTimeoutMs: 100 });
    await rig.clock.advance(100);
    expect(other.wire.calls).toHaveLength(0);
    expect(outcome()).toMatchObject({ from: 'fallback' });
  });
});

describe('fallback -> circuit-breaker', () => {
  it('goes to the other upstream at once while the circuit is open, and back when it is closed', async () => {
    const rig = new PipelineRig();
    const policies = { fallback: [{ upstream: 'other' }], circuitBreaker: { consecutiveFailures: 2 } };
    rig.upstream('main', policies, fail(), fail(), answers());
    rig.upstream('other', {}, answers(203));
    const statuses: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      const { outcome } = rig.start();
      await settle();
      const answer = outcome();
      statuses.push(answer?.kind === 'response' && answer.head.status);
      bodyOf(answer).complete();
    }
    expect(statuses).toEqual([203, 203, 203, 203]);
    expect(rig.upstreams.get('main')?.wire.calls).toHaveLength(2);
    await rig.clock.advance(20_000);
    const { outcome } = rig.start();
    await settle();
    expect(outcome()).toMatchObject({ head: { status: 200 } });
    bodyOf(outcome()).complete();
    expect(rig.breakerOf('main').state).toBe('closed');
  });

  it('judges each upstream by itself', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { fallback: [{ upstream: 'other' }], circuitBreaker: { consecutiveFailures: 3 } },
      () => fail(),
    );
    rig.upstream('other', { circuitBreaker: { consecutiveFailures: 3 } }, answers());
    for (let i = 0; i < 6; i++) {
      const { outcome } = rig.start();
      await settle();
      bodyOf(outcome()).complete();
    }
    expect(rig.breakerOf('main').state).toBe('open');
    expect(rig.breakerOf('other').state).toBe('closed');
  });

  it('answers everyone who comes while a probe is out', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { fallback: [STATIC], circuitBreaker: { consecutiveFailures: 1 } },
      fail(),
      stalls('waiting'),
    );
    rig.start();
    await rig.clock.advance(20_000);
    const probe = rig.start();
    const others = Array.from({ length: 10 }, () => rig.start());
    await settle();
    expect(probe.outcome()).toBeUndefined();
    for (const { outcome } of others) expect(outcome()).toMatchObject({ from: 'fallback' });
  });

  it('a slow answer that the ladder replaced is no failure of the upstream', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { fallback: { after: '800ms', steps: [STATIC] }, circuitBreaker: { consecutiveFailures: 1 } },
      stalls('waiting'),
    );
    for (let i = 0; i < 10; i++) rig.start();
    await rig.clock.advance(800);
    expect(rig.breakerOf('main').state).toBe('closed');
  });

  it('but it is a slow call, where slow calls count', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      {
        fallback: { after: '800ms', steps: [STATIC] },
        circuitBreaker: { slowCallRatio: 0.75, slowCall: '500ms' },
      },
      stalls('waiting'),
    );
    for (let i = 0; i < 10; i++) rig.start();
    await rig.clock.advance(800);
    expect(rig.breakerOf('main').state).toBe('open');
  });
});

describe('fallback -> retry', () => {
  it('is taken when the retries are used up, not before', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [STATIC], retry: { backoff: EVERY_SECOND } }, () => respond(503));
    const { outcome } = rig.start();
    await rig.clock.advance(1_999);
    expect(outcome()).toBeUndefined();
    await rig.clock.advance(1);
    expect(outcome()).toMatchObject({ from: 'fallback' });
    expect(rig.attempts).toEqual(['main@0', 'main@1000', 'main@2000']);
    for (const answer of rig.upstreams.get('main')?.wire.given ?? []) expect(bodyOf(answer).discards).toBe(1);
  });

  it('is taken in the middle of a backoff when the first is too slow, and ends it', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { fallback: { after: '800ms', steps: [STATIC] }, retry: { backoff: EVERY_SECOND } },
      () => respond(503),
    );
    const { outcome } = rig.start();
    await rig.clock.advance(800);
    expect(outcome()).toMatchObject({ from: 'fallback' });
    await rig.clock.advance(60_000);
    expect(rig.attempts).toEqual(['main@0']);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('lets the other upstream retry by its own rules, as one trail', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [{ upstream: 'other' }], retry: { maxRetries: 1 } }, () => fail());
    rig.upstream('other', { retry: { maxRetries: 3, budget: false } }, () => fail('connection_refused'));
    const { exchange, outcome } = rig.start();
    await rig.clock.advance(600_000);
    expect(exchange.attempts.map(({ exchange: { upstream } }) => upstream.name)).toEqual([
      ...['main', 'main'],
      ...['other', 'other', 'other', 'other'],
    ]);
    expect(exchange.attempts.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(outcome()).toMatchObject({ kind: 'failure', reason: 'connection_reset' });
  });
});

describe('fallback -> fallback', () => {
  it('climbs the other’s ladder, too, and asks nobody twice', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [{ upstream: 'b' }, { upstream: 'c' }, STATIC] }, fail());
    rig.upstream('b', { fallback: [{ upstream: 'c' }] }, fail());
    rig.upstream('c', {}, fail());
    const { outcome } = rig.start();
    await settle();
    expect(rig.attempts).toEqual(['main@0', 'b@0', 'c@0']);
    expect(textOf(outcome() as never)).toBe('sorry');
  });

  it('does not loop, even if a cycle had been let through', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [{ upstream: 'b' }] }, () => fail());
    rig.upstream('b', { fallback: [{ upstream: 'main' }] }, () => fail());
    rig.start();
    await settle();
    expect(rig.attempts).toEqual(['main@0', 'b@0']);
  });
});

describe('fallback -> credentials', () => {
  it('each upstream sees its own credential and never the other’s, nor the client’s', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream(
      'main',
      { fallback: [{ upstream: 'b' }, { upstream: 'c' }], credentials: { value: 'Bearer main' } },
      () => fail(),
    );
    const b = rig.upstream('b', { credentials: { header: 'api-key', value: 'b' } }, () => fail());
    const c = rig.upstream('c', {}, answers());
    rig.start({ request: { headers: ['authorization', 'Bearer client', 'accept', '*/*'] } });
    await settle();
    const sent = [main, b, c].map(({ wire }) => wire.calls[0]?.scope.headers);
    expect(sent).toEqual([
      ['accept', '*/*', 'authorization', 'Bearer main'],
      ['accept', '*/*', 'api-key', 'b'],
      ['accept', '*/*'],
    ]);
  });
});
