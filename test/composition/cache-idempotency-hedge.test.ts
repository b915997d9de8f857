/** Three who may each answer in another's stead, one around the other. */
import { describe, expect, it } from 'vitest';
import { sleep } from '../../src/core/clock.ts';
import type { Attempt } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { settle } from '../support/fake-clock.ts';
import { bytesBody, respond } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';
import { answer, read } from '../policies/cache-rig.ts';
import { PipelineRig, stalls } from './pipeline-rig.ts';
import type { Call } from './pipeline-rig.ts';

const keyed = (key = 'k'): ExchangeParts => ({
  body: bytesBody(Buffer.from('{"pay":1}')),
  request: { method: 'POST', target: '/pay', headers: ['idempotency-key', key] },
});

const says =
  (text: string): Step<Attempt> =>
  (attempt) => {
    attempt.phase = 'ended';
    return { ...answer([], [text]), attempt: attempt.number };
  };

const readOf = (call: Call) => read(call.outcome() as Outcome);

describe('idempotency -> hedge', () => {
  it('a run that was hedged is one run: its winner answers the duplicates, too', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { idempotency: {}, hedge: { after: '100ms' } }, stalls('waiting'), says('spare'));
    const [first, second] = [rig.start(keyed()), rig.start(keyed())];
    await rig.clock.advance(100);
    expect([readOf(first).text, readOf(second).text]).toEqual(['spare', 'spare']);
    const third = rig.start(keyed());
    await settle();
    expect(readOf(third)).toMatchObject({ text: 'spare', from: 'replay' });
    expect(rig.attempts).toEqual(['main@0', 'main@100']);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('a call without a key gets no spare', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { idempotency: {}, hedge: { after: '100ms' } }, stalls('waiting'), says('spare'));
    const call = rig.start({ ...keyed(), request: { method: 'POST', target: '/pay' } });
    await rig.clock.advance(1_000);
    expect([call.outcome(), rig.attempts]).toEqual([undefined, ['main@0']]);
    call.exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(rig.clock.pendingTimers).toBe(0);
  });
});

describe('cache -> idempotency', () => {
  const both = { cache: { post: [{ path: '/pay', ttl: '5s' }] }, idempotency: {} };

  it('what is cached needs no key, and what is keyed is not run when the cache forgets it', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', both, says('paid'));
    const first = rig.start(keyed());
    await settle();
    expect(readOf(first)).toMatchObject({ text: 'paid', from: 'upstream' });
    const hit = rig.start(keyed());
    await settle();
    expect(readOf(hit)).toMatchObject({ text: 'paid', from: 'cache' });
    await rig.clock.advance(6_000);
    const replayed = rig.start(keyed());
    await settle();
    expect(readOf(replayed).text).toBe('paid');
    expect(rig.attempts).toEqual(['main@0']);
  });

  it('joiners of the exchange are joined in one run', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', both, async (attempt, cancellation) => {
      await sleep(rig.clock, 50, cancellation);
      return (says('paid') as (attempt: Attempt) => Outcome)(attempt);
    });
    const calls = [1, 2, 3].map(() => rig.start(keyed()));
    await rig.clock.advance(50);
    expect(calls.map((call) => readOf(call).text)).toEqual(['paid', 'paid', 'paid']);
    expect(rig.attempts).toEqual(['main@0']);
  });

  it('an outcome that nobody knows is not cached', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', both, () => respond(500), says('paid'));
    const first = rig.start(keyed('a'));
    await settle();
    const outcome = first.outcome();
    if (outcome?.kind === 'response') outcome.body.discard();
    const other = rig.start(keyed('b'));
    await settle();
    expect(readOf(other)).toMatchObject({ text: 'paid', from: 'upstream' });
  });
});
