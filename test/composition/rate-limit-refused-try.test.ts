import { describe, expect, it } from 'vitest';
import { fail } from '../support/policy-kit.ts';
import { settle } from '../support/fake-clock.ts';
import { PipelineRig, answers } from './pipeline-rig.ts';

describe('rate-limit -> retry -> circuit-breaker', () => {
  it('a call that was sent counts, although its next try is refused', async () => {
    const rig = new PipelineRig();
    const main = rig.upstream(
      'main',
      {
        rateLimit: { requests: 2, per: '1h' },
        retry: { backoff: { initial: '0s', max: '0s' } },
        circuitBreaker: { consecutiveFailures: 1 },
      },
      fail(),
      answers(),
    );
    const limit = () => main.policies.get('rate-limit')?.snapshot()['limits'];
    const first = rig.start();
    await settle();
    expect(first.outcome()).toMatchObject({ kind: 'rejection', reason: 'circuit_open' });
    expect(rig.attempts).toEqual(['main@0']);
    expect(limit()).toMatchObject([{ remaining: 1 }]);
    const second = rig.start();
    await settle();
    expect(second.outcome()).toMatchObject({ kind: 'rejection', reason: 'circuit_open' });
    expect(second.exchange.attempts).toEqual([]);
    expect(limit()).toMatchObject([{ remaining: 1 }]);
  });
});
