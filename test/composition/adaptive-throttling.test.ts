import { describe, expect, it } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { finish } from '../support/policy-kit.ts';
import { PipelineRig, answers } from './pipeline-rig.ts';

const OVERLOADED = answers(503, ['retry-after', '0']);
const THROTTLE = { minimumRequests: 20 } as const;

/** So many calls, one a second; how many were shed. */
async function shedOf(rig: PipelineRig, calls: number): Promise<number> {
  let shed = 0;
  for (let i = 0; i < calls; i++) {
    const { outcome } = rig.start();
    await rig.clock.advance(1_000);
    const settled = outcome();
    if (settled?.kind === 'rejection' && settled.reason === 'load_shed') shed += 1;
    if (settled) finish(settled);
  }
  return shed;
}

describe('retry -> adaptive-throttling', () => {
  it('every try counts, and a call that is kept back is not tried again', async () => {
    const rig = new PipelineRig();
    const retry = { maxRetries: 2, backoff: { initial: '1ms', jitter: 'none' }, budget: false };
    rig.upstream('main', { retry, adaptiveThrottling: THROTTLE }, OVERLOADED);
    expect(await shedOf(rig, 7)).toBe(1);
    const before = rig.attempts.length;
    expect(before).toBe(20);
    expect(await shedOf(rig, 60)).toBeGreaterThan(50);
    expect(rig.attempts.length - before).toBeLessThan(20);
  });
});

describe('adaptive-throttling -> circuit-breaker', () => {
  it('a refusal by the breaker is no verdict of the upstream, and one of ours none for the breaker', async () => {
    const rig = new PipelineRig();
    const circuitBreaker = { consecutiveFailures: 5, openFor: '1h' };
    const main = rig.upstream('main', { adaptiveThrottling: THROTTLE, circuitBreaker }, OVERLOADED);
    expect(await shedOf(rig, 60)).toBe(0);
    expect(main.policies.get('adaptive-throttling')?.snapshot()).toMatchObject({ requests: 5, accepts: 0 });
  });
});

describe('pacing -> adaptive-throttling', () => {
  it('what is kept back holds no reservation on a rate limit', async () => {
    const rig = new PipelineRig();
    const headers = ['x-ratelimit-limit-requests', '50', 'x-ratelimit-remaining-requests', '40'];
    const refusal = answers(503, ['retry-after', '0', ...headers, 'x-ratelimit-reset-requests', '1h']);
    const main = rig.upstream('main', { pacing: {}, adaptiveThrottling: THROTTLE }, refusal);
    expect(await shedOf(rig, 100)).toBeGreaterThan(60);
    await settle();
    expect(main.policies.get('pacing')?.snapshot()).toMatchObject({ queued: 0 });
  });
});

describe('fallback -> adaptive-throttling', () => {
  it('answers what is kept back', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [{ upstream: 'other' }], adaptiveThrottling: THROTTLE }, OVERLOADED);
    rig.upstream('other', {}, answers());
    expect(await shedOf(rig, 60)).toBe(0);
    const triggers = rig.events.of('fallback-taken').map(({ trigger }) => trigger);
    expect(triggers.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 'status'));
    expect(triggers).toContain('load_shed');
  });
});
