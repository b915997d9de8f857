import { describe, expect, it } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, fail, respond } from '../support/policy-kit.ts';
import { PipelineRig, STREAM, answers, stalls } from './pipeline-rig.ts';

const EVERY_SECOND = { kind: 'constant', initial: '1s', jitter: 'none' } as const;

describe('deadline -> retry', () => {
  it('makes only those tries that can begin in time', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream('main', { deadline: { after: '5s' }, retry: { maxRetryAfter: '30s' } }, () =>
      respond(503, { headers: ['retry-after-ms', '4000'] }),
    );
    const { outcome } = rig.start();
    await rig.clock.advance(60_000);
    expect(rig.attempts).toEqual(['main@0', 'main@4000']);
    expect(outcome()).toMatchObject({ kind: 'response', head: { status: 503 } });
    expect(rig.events.of('retry-refused')).toMatchObject([{ why: 'deadline' }]);
    expect(main.wire.given).toHaveLength(2);
  });

  it('does not wait for a try that could not begin any more: the answer that is there is better', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { deadline: { after: '5s' }, retry: {} }, () =>
      respond(429, { headers: ['retry-after', '5'] }),
    );
    const { outcome } = rig.start();
    await rig.clock.advance(0);
    expect(outcome()).toMatchObject({ head: { status: 429 } });
  });

  it('tries for as long as the caller gave, not for as long as the policy would', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { deadline: { after: '60s' }, retry: { maxRetries: 20, backoff: EVERY_SECOND, budget: false } },
      () => fail(),
    );
    const { outcome } = rig.start({ callerTimeoutMs: 3_500 });
    await rig.clock.advance(60_000);
    expect(rig.attempts).toEqual(['main@0', 'main@1000', 'main@2000', 'main@3000']);
    expect(outcome()).toMatchObject({ kind: 'failure', reason: 'connection_reset' });
  });
});

describe('deadline -> retry -> attempt-timeout', () => {
  it('cuts 30 s × 3 tries at 60 s in all', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      {
        deadline: { after: '60s' },
        retry: { maxRetries: 2, backoff: EVERY_SECOND },
        attemptTimeout: { firstByte: '30s' },
      },
      stalls('waiting'),
    );
    const { outcome } = rig.start();
    await rig.clock.advance(59_999);
    expect(outcome()).toBeUndefined();
    await rig.clock.advance(1);
    expect(outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded' });
    expect(rig.attempts).toEqual(['main@0', 'main@31000']);
  });

  it('500 ms a try, 3 retries, 3 s in all', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      {
        deadline: { after: '3s' },
        retry: { maxRetries: 3, backoff: { initial: '100ms', jitter: 'none' } },
        attemptTimeout: { firstByte: '500ms' },
      },
      stalls('waiting'),
    );
    const { outcome } = rig.start();
    await rig.clock.advance(3_000);
    expect(rig.attempts).toEqual(['main@0', 'main@600', 'main@1300', 'main@2200']);
    expect(outcome()).toMatchObject({ reason: 'first_byte_timeout' });
  });

  it('leaves nothing behind when it cuts', async () => {
    const rig = new PipelineRig();
    const policies = { deadline: { after: '1s' }, retry: {}, circuitBreaker: {}, attemptTimeout: {} };
    rig.upstream('main', policies, stalls('waiting'));
    const { exchange } = rig.start();
    await rig.clock.advance(1_000);
    expect(rig.clock.pendingTimers).toBe(0);
    expect(exchange.cancellation.listenerCount).toBe(0);
  });
});

describe('deadline -> circuit-breaker', () => {
  const policies = { deadline: { after: '2s' }, circuitBreaker: { consecutiveFailures: 3 } };

  it('callers that give too little time open nothing for the others', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', policies, stalls('waiting'));
    for (let i = 0; i < 50; i++) {
      const { outcome } = rig.start({ callerTimeoutMs: 1 });
      await rig.clock.advance(1);
      expect(outcome()).toMatchObject({ reason: 'deadline_exceeded' });
    }
    expect(rig.breakerOf('main').state).toBe('closed');
  });

  it('callers that give too little time for the body open nothing either', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', policies, answers());
    for (let i = 0; i < 20; i++) {
      const { outcome } = rig.start({ callerTimeoutMs: 5 });
      await rig.clock.advance(5);
      expect(await bodyOf(outcome()).completion).toMatchObject({ reason: 'deadline_exceeded' });
    }
    expect(rig.breakerOf('main').state).toBe('closed');
  });

  it('an upstream that lets the operator’s own deadline pass opens it', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', policies, stalls('waiting'));
    for (let i = 0; i < 3; i++) rig.start({ callerTimeoutMs: 10_000 });
    await rig.clock.advance(2_000);
    expect(rig.breakerOf('main').state).toBe('open');
  });

  it('a probe that the caller cuts short gives its place to another', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', policies, fail(), fail(), fail(), stalls('waiting'), answers());
    for (let i = 0; i < 3; i++) rig.start();
    await rig.clock.advance(20_000);
    rig.start({ callerTimeoutMs: 100 });
    await rig.clock.advance(100);
    expect(rig.breakerOf('main').state).toBe('half-open');
    const { outcome } = rig.start();
    await settle();
    bodyOf(outcome()).complete();
    expect(rig.breakerOf('main').state).toBe('closed');
  });
});

describe('deadline -> attempt-timeout', () => {
  it('a stream that has begun is bound by its silences only', async () => {
    const rig = new PipelineRig();
    const policies = { deadline: { after: '5s' }, attemptTimeout: { idle: '20s' } };
    const main = rig.upstream('main', policies, answers(200, STREAM));
    const { outcome } = rig.start({ callerTimeoutMs: 1_000 });
    for (let i = 0; i < 100; i++) {
      await rig.clock.advance(15_000);
      const attempt = main.wire.calls[0]?.scope;
      if (attempt) attempt.lastActivityAt = rig.clock.now();
    }
    expect(bodyOf(outcome()).ended).toBe(false);
    await rig.clock.advance(20_000);
    expect(await bodyOf(outcome()).completion).toMatchObject({ reason: 'idle_timeout' });
    expect(rig.events.of('deadline-exceeded')).toEqual([]);
  });

  it('the nearer of the two decides what it is called', async () => {
    for (const [afterMs, firstByte, reason] of [
      ['2s', '5s', 'deadline_exceeded'],
      ['5s', '2s', 'first_byte_timeout'],
    ] as const) {
      const rig = new PipelineRig();
      rig.upstream(
        'main',
        { deadline: { after: afterMs }, attemptTimeout: { firstByte } },
        stalls('waiting'),
      );
      const { outcome } = rig.start();
      await rig.clock.advance(2_000);
      expect(outcome()).toMatchObject({ reason });
    }
  });
});
