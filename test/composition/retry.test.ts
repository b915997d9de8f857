import { describe, expect, it } from 'vitest';
import { bodyOf, fail, finish, respond } from '../support/policy-kit.ts';
import { settle } from '../support/fake-clock.ts';
import { PipelineRig, answers, stalls } from './pipeline-rig.ts';

const EVERY_SECOND = { kind: 'constant', initial: '1s', jitter: 'none' } as const;
const POST = { request: { method: 'POST' } } as const;

describe('retry -> circuit-breaker', () => {
  it('every try counts, and an opened breaker ends retrying', async () => {
    const rig = new PipelineRig();
    const policies = {
      retry: { maxRetries: 9, backoff: EVERY_SECOND, budget: false },
      circuitBreaker: { consecutiveFailures: 3 },
    };
    rig.upstream('main', policies, () => respond(503));
    const { outcome } = rig.start();
    await rig.clock.advance(60_000);
    expect(rig.attempts).toEqual(['main@0', 'main@1000', 'main@2000']);
    expect(outcome()).toMatchObject({ kind: 'rejection', reason: 'circuit_open' });
    expect(rig.events.of('retry-refused')).toEqual([]);
  });

  it('an open breaker lets nothing through, and costs the budget nothing', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream('main', { retry: {}, circuitBreaker: {} }, fail('connection_refused'));
    for (let i = 0; i < 20; i++) rig.start({ request: { method: 'POST' } });
    await rig.clock.advance(0);
    const seen = main.wire.calls.length;
    const before = main.policies.get('retry')?.snapshot()['budgetRemaining'];
    for (let i = 0; i < 100; i++) rig.start();
    await rig.clock.advance(0);
    expect(main.wire.calls).toHaveLength(seen);
    expect(Number(main.policies.get('retry')?.snapshot()['budgetRemaining'])).toBeGreaterThanOrEqual(
      Number(before),
    );
  });

  it('a probe that fails is not tried again: its failure opened the circuit', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { retry: { backoff: EVERY_SECOND }, circuitBreaker: { consecutiveFailures: 1 } },
      () => respond(503),
    );
    rig.start();
    await rig.clock.advance(20_000);
    const { outcome } = rig.start();
    await rig.clock.advance(20_000);
    expect(rig.attempts).toEqual(['main@0', 'main@20000']);
    expect(outcome()).toMatchObject({ reason: 'circuit_open' });
  });

  it('a retry that succeeds closes nothing that was not open, and resets the count', async () => {
    const rig = new PipelineRig();
    const fails = (): ReturnType<typeof fail> => fail();
    rig.upstream(
      'main',
      {
        retry: { backoff: EVERY_SECOND, budget: false },
        circuitBreaker: { consecutiveFailures: 3, failureRatio: false },
      },
      ...[fails, fails, answers(), fails, fails, answers()],
    );
    for (let i = 0; i < 2; i++) {
      const { outcome } = rig.start();
      await rig.clock.advance(10_000);
      expect(outcome()).toMatchObject({ head: { status: 200 } });
      const answer = outcome();
      if (answer) finish(answer);
      await settle();
    }
    expect(rig.breakerOf('main').state).toBe('closed');
  });
});

describe('retry -> circuit-breaker -> select-endpoint', () => {
  it('goes to another endpoint each time, and numbers the attempts', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { retry: { maxRetries: 3, budget: false } }, () => respond(503));
    const { exchange } = rig.start();
    await rig.clock.advance(60_000);
    expect(exchange.attempts.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    const hosts = exchange.attempts.map(({ endpoint }) => endpoint.host);
    expect(hosts[0]).not.toBe(hosts[1]);
    expect(new Set(hosts)).toEqual(new Set(['main-1.test', 'main-2.test']));
  });

  it('keeps the turns even where one of two endpoints always fails', async () => {
    const rig = new PipelineRig();
    const policies = { retry: { backoff: EVERY_SECOND, budget: false } };
    rig.upstream('main', policies, (attempt) =>
      attempt.endpoint.host === 'main-1.test' ? respond(503) : answers()(attempt),
    );
    const hosts: string[] = [];
    for (let i = 0; i < 6; i++) {
      const { exchange, outcome } = rig.start();
      await rig.clock.advance(1_000);
      bodyOf(outcome()).complete();
      hosts.push(exchange.attempts.map(({ endpoint }) => endpoint.host.replace('.test', '')).join(' '));
    }
    expect(hosts).toEqual([
      ...['main-1 main-2', 'main-2', 'main-1 main-2'],
      ...['main-2', 'main-1 main-2', 'main-2'],
    ]);
  });

  it('leaves a trail: verdict, status or reason, backoff and duration of each', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { retry: { backoff: EVERY_SECOND } },
      respond(503),
      fail('connection_refused', { requestSent: 'no' }),
      answers(),
    );
    const { exchange } = rig.start();
    await rig.clock.advance(60_000);
    expect(
      exchange.attempts.map(({ status, reason, backoffMs, verdict }) => [
        status ?? reason,
        backoffMs,
        verdict?.class,
      ]),
    ).toEqual([
      [503, 0, 'transient'],
      ['connection_refused', 1_000, 'transient'],
      [200, 1_000, 'ok'],
    ]);
  });
});

describe('retry -> attempt-timeout', () => {
  it('gives every attempt its whole time, whatever the ones before took', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { retry: { maxRetries: 2, backoff: EVERY_SECOND }, attemptTimeout: { connect: '2s', firstByte: '5s' } },
      stalls('waiting'),
    );
    const { exchange, outcome } = rig.start();
    await rig.clock.advance(60_000);
    expect(rig.attempts).toEqual(['main@0', 'main@6000', 'main@12000']);
    expect(exchange.attempts.map(({ durationMs }) => durationMs)).toEqual([5_000, 5_000, 5_000]);
    expect(outcome()).toMatchObject({ reason: 'first_byte_timeout' });
    expect(rig.events.of('attempt-timed-out')).toHaveLength(3);
  });

  it('sends a POST again after a connect timeout, for nothing was sent', async () => {
    const rig = new PipelineRig();
    const policies = { retry: {}, attemptTimeout: { connect: '2s' } };
    rig.upstream('main', policies, stalls('connecting'), answers());
    const { outcome } = rig.start(POST);
    await rig.clock.advance(10_000);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
  });

  it('does not send a POST again after a first-byte timeout, for it may have been done', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { retry: {}, attemptTimeout: { firstByte: '2s' } }, stalls('waiting'), answers());
    const { outcome } = rig.start(POST);
    await rig.clock.advance(60_000);
    expect(rig.attempts).toEqual(['main@0']);
    expect(outcome()).toMatchObject({ reason: 'first_byte_timeout' });
    expect(rig.events.of('retry-refused')).toMatchObject([{ why: 'unsafe' }]);
  });

  it('never tries again once an answer was passed on, however it ends', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { retry: {}, attemptTimeout: { idle: '2s' } }, answers());
    const { outcome } = rig.start();
    await rig.clock.advance(60_000);
    expect(rig.attempts).toEqual(['main@0']);
    expect(await bodyOf(outcome()).completion).toMatchObject({ end: 'timed-out', reason: 'idle_timeout' });
  });
});

describe('circuit-breaker -> attempt-timeout', () => {
  it('bodies that stall open the circuit, although their heads were good', async () => {
    const rig = new PipelineRig();
    const policies = { circuitBreaker: { consecutiveFailures: 3 }, attemptTimeout: { idle: '2s' } };
    rig.upstream('main', policies, answers());
    for (let i = 0; i < 3; i++) {
      rig.start();
      await rig.clock.advance(0);
      expect(rig.breakerOf('main').state).not.toBe('open');
    }
    await rig.clock.advance(2_000);
    expect(rig.breakerOf('main').state).toBe('open');
  });

  it('clients that leave bodies that flow open nothing', async () => {
    const rig = new PipelineRig();
    const policies = { circuitBreaker: { consecutiveFailures: 3 }, attemptTimeout: { idle: '2s' } };
    rig.upstream('main', policies, answers());
    for (let i = 0; i < 20; i++) {
      const { exchange } = rig.start();
      await rig.clock.advance(100);
      exchange.cancellation.cancel('client-aborted');
      await settle();
    }
    expect(rig.breakerOf('main').state).toBe('closed');
  });
});
