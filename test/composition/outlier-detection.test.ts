import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { settle } from '../support/fake-clock.ts';
import { after, fail, finish, respond } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';
import { PipelineRig, answers, stalls } from './pipeline-rig.ts';
import type { Call } from './pipeline-rig.ts';

const AT_ONCE = { initial: '0s', max: '0s' } as const;
const BAD = 'http://main-1.test';

/** One endpoint does as the step says, the other answers well. */
const badly =
  (step: Step<Attempt>): Step<Attempt> =>
  (attempt, cancellation) => {
    if (attempt.endpoint.name !== BAD) return answers()(attempt);
    return typeof step === 'function' ? step(attempt, cancellation) : step;
  };

const refuses = badly(() => fail('connection_refused', { requestSent: 'no' }));

/** Calls one after the other; each one's answer is read to its end. */
async function calls(rig: PipelineRig, count: number, parts: ExchangeParts = {}): Promise<Call[]> {
  const all: Call[] = [];
  for (let n = 0; n < count; n++) {
    const call = rig.start(parts);
    await rig.clock.advance(1);
    const outcome = call.outcome();
    if (outcome) finish(outcome);
    await settle();
    all.push(call);
  }
  return all;
}

const statusesOf = (made: readonly Call[]): (number | string | undefined)[] =>
  made.map(({ outcome }) => {
    const ended: Outcome | undefined = outcome();
    return ended?.kind === 'response' ? ended.head.status : ended?.reason;
  });

const triesAt = (rig: PipelineRig, endpoint: string): number =>
  [...rig.upstreams.values()]
    .flatMap(({ wire }) => wire.calls)
    .filter(({ scope }) => scope.endpoint.name === endpoint).length;

describe('retry -> outlier-detection', () => {
  it('one failed attempt is all that a dead endpoint costs, and nobody notices', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { retry: { backoff: AT_ONCE }, outlierDetection: {} }, refuses);
    const made = await calls(rig, 20);
    expect(new Set(statusesOf(made))).toEqual(new Set([200]));
    expect(triesAt(rig, BAD)).toBe(1);
  });

  it('a probe that fails is made up for by another endpoint', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { retry: { backoff: AT_ONCE }, outlierDetection: {} }, refuses);
    await calls(rig, 4);
    await rig.clock.advance(11_000);
    const [probing] = await calls(rig, 1);
    expect(
      probing?.exchange.attempts.map(({ endpoint, verdict }) => [endpoint.host, verdict?.class]),
    ).toEqual([
      ['main-1.test', 'transient'],
      ['main-2.test', 'ok'],
    ]);
    expect(rig.events.of('endpoint-ejected').map(({ reason }) => reason)).toEqual(['connect', 'probe']);
  });

  it('what may not be repeated is no probe while something else may come', async () => {
    const rig = new PipelineRig();
    const reset = badly(() => fail('connection_reset'));
    rig.upstream('main', { retry: { backoff: AT_ONCE }, outlierDetection: {} }, reset);
    await calls(rig, 4);
    await rig.clock.advance(11_000);
    const payments = await calls(rig, 10, { request: { method: 'POST' } });
    expect(new Set(statusesOf(payments))).toEqual(new Set([200]));
    expect(triesAt(rig, BAD)).toBe(1);
    await calls(rig, 1);
    expect(triesAt(rig, BAD)).toBe(2);
  });
});

describe('hedge -> outlier-detection', () => {
  it('losing races is no failure', async () => {
    const rig = new PipelineRig();
    const slow = badly((attempt, cancellation) => {
      attempt.phase = 'waiting';
      return after(rig.clock, 5_000, respond())(attempt, cancellation);
    });
    const hedge = { after: '100ms', budget: { floor: 100 } };
    rig.upstream('main', { hedge, outlierDetection: { consecutiveFailures: 1 } }, slow);
    for (let n = 0; n < 10; n++) {
      const { outcome } = rig.start();
      await rig.clock.advance(200);
      const ended = outcome();
      if (ended) finish(ended);
      await settle();
    }
    expect(triesAt(rig, BAD)).toBeGreaterThan(3);
    expect(rig.events.of('endpoint-ejected')).toEqual([]);
  });
});

describe('circuit-breaker -> outlier-detection', () => {
  it('one bad endpoint is taken out, and the circuit stays closed', async () => {
    const rig = new PipelineRig();
    const fails = badly((attempt) => respond(500, { attempt: attempt.number }));
    rig.upstream('main', { circuitBreaker: {}, outlierDetection: {} }, fails);
    const made = await calls(rig, 30);
    expect(rig.events.of('endpoint-ejected').map(({ endpoint }) => endpoint)).toEqual([BAD]);
    expect(rig.events.of('breaker-changed').map(({ to }) => to)).not.toContain('open');
    expect(statusesOf(made).slice(10)).toEqual(Array.from({ length: 20 }, () => 200));
  });

  it('an upstream that fails altogether opens the circuit before anybody is taken out', async () => {
    const rig = new PipelineRig();
    let status = 200;
    const all = (attempt: Attempt): Outcome => respond(status, { attempt: attempt.number });
    rig.upstream('main', { circuitBreaker: {}, outlierDetection: {} }, all);
    await calls(rig, 4);
    status = 500;
    await calls(rig, 6);
    expect(rig.breakerOf('main').state).toBe('open');
    expect(rig.events.of('endpoint-ejected')).toEqual([]);
  });
});

describe('outlier-detection -> attempt-timeout', () => {
  it('sees what the timers cut off', async () => {
    const rig = new PipelineRig();
    const policies = { outlierDetection: { consecutiveFailures: 3 }, attemptTimeout: { firstByte: '1s' } };
    rig.upstream('main', policies, badly(stalls('waiting')));
    for (let n = 0; n < 6; n++) {
      rig.start();
      await rig.clock.advance(1_000);
    }
    expect(rig.events.of('endpoint-ejected')).toMatchObject([{ endpoint: BAD, reason: 'consecutive' }]);
  });

  it('one that takes no connection is out after the first', async () => {
    const rig = new PipelineRig();
    const policies = { outlierDetection: {}, attemptTimeout: { connect: '1s' } };
    rig.upstream('main', policies, badly(stalls('connecting')));
    for (let n = 0; n < 6; n++) {
      rig.start();
      await rig.clock.advance(1_000);
    }
    expect(rig.events.of('endpoint-ejected')).toMatchObject([{ endpoint: BAD, reason: 'connect' }]);
    expect(triesAt(rig, BAD)).toBe(1);
  });
});
