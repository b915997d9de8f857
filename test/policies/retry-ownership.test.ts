import { describe, expect, it } from 'vitest';
import { openai } from '../../src/dialects/openai.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { bytesBody, fail, judged, respond } from '../support/policy-kit.ts';
import type { ExchangeParts } from '../support/policy-kit.ts';
import { PLAIN, POST, RetryRig, stale } from './retry-rig.ts';

const says = (status: number, wish: string) => () =>
  respond(status, { headers: ['X-Should-Retry', wish, 'retry-after-ms', '1'] });

describe('retry: what the upstream itself says of another try', () => {
  it('makes none when the upstream says that it is of no use, and passes its answer on', async () => {
    const rig = new RetryRig(PLAIN);
    const run = await rig.toTheEnd({}, says(503, 'false'));
    expect(run.script.calls).toHaveLength(1);
    expect(run.outcome()).toMatchObject({ kind: 'response', head: { status: 503 } });
    expect(rig.refusals).toEqual(['declined']);
    expect(rig.policy.budgetRemaining).toBe(3);
  });

  it.each([400, 404, 409])('makes one after a %i when the upstream says that it helps', async (status) => {
    const rig = new RetryRig(PLAIN);
    const run = await rig.toTheEnd({}, says(status, ' True '), respond());
    expect(run.script.calls).toHaveLength(2);
    expect(run.outcome()).toMatchObject({ head: { status: 200 } });
  });

  it('leaves what the answer says of the upstream’s health as it is', async () => {
    const run = await new RetryRig(PLAIN).toTheEnd({}, says(503, 'false'));
    expect(run.outcome()?.verdict).toMatchObject({ class: 'overloaded', result: 'failure' });
  });

  it.each([
    [401, 'auth'],
    [402, 'quota'],
  ])('never tries the same credential again after a %i, whatever the upstream says', async (status) => {
    const rig = new RetryRig(PLAIN);
    expect((await rig.toTheEnd({}, says(status, 'true'))).script.calls).toHaveLength(1);
  });

  it('a wish does not make a repetition safe, or endless', async () => {
    const rig = new RetryRig(PLAIN);
    expect((await rig.toTheEnd(POST, says(500, 'true'))).script.calls).toHaveLength(1);
    expect((await rig.toTheEnd({}, says(409, 'true'))).script.calls).toHaveLength(3);
    expect(rig.refusals).toEqual(['unsafe', 'exhausted']);
  });

  it('is heard in the head of an answer that had an error in it', async () => {
    const head = { status: 200, statusText: '', headers: ['x-should-retry', 'false'] };
    const run = await new RetryRig(PLAIN).toTheEnd({}, fail('upstream_error', { head }));
    expect(run.script.calls).toHaveLength(1);
  });

  it('anything else is no wish', async () => {
    expect((await new RetryRig(PLAIN).toTheEnd({}, says(503, 'maybe'))).script.calls).toHaveLength(3);
    expect((await new RetryRig(PLAIN).toTheEnd({}, says(404, 'maybe'))).script.calls).toHaveLength(1);
  });
});

describe('retry: what clients’ SDKs retry themselves', () => {
  const NARROW = { ...PLAIN, maxRetries: 1, budget: { ratio: 0, floor: 3, window: '10s' } } as const;

  it('is let through, and leaves less for us', async () => {
    const rig = new RetryRig(NARROW);
    rig.start({ clientRetries: 1 }, respond());
    rig.start({ clientRetries: 2 }, respond());
    await rig.clock.advance(0);
    expect(rig.policy.budgetRemaining).toBe(1);
    rig.start({ clientRetries: 1 }, respond());
    const over = rig.start({ clientRetries: 2 }, fail());
    await rig.clock.advance(0);
    expect(over.script.calls).toHaveLength(1);
    expect(rig.refusals).toEqual(['budget']);
    expect(rig.policy.budgetRemaining).toBe(0);
  });

  it('earns no retry, as a new request does', async () => {
    const rig = new RetryRig({ ...PLAIN, budget: { ratio: 1, floor: 0 } });
    rig.start({}, respond());
    expect(rig.policy.budgetRemaining).toBe(1);
    rig.start({ clientRetries: 1 }, respond());
    expect(rig.policy.budgetRemaining).toBe(0);
  });

  it('is forgotten with the window', async () => {
    const rig = new RetryRig(NARROW);
    for (let n = 0; n < 10; n++) rig.start({ clientRetries: 1 }, respond());
    await rig.clock.advance(9_999);
    expect(rig.policy.budgetRemaining).toBe(0);
    await rig.clock.advance(10_000);
    expect(rig.policy.budgetRemaining).toBe(3);
  });

  it('counts nowhere without a budget', async () => {
    const rig = new RetryRig({ ...PLAIN, budget: false });
    expect((await rig.toTheEnd({ clientRetries: 2 }, fail())).script.calls).toHaveLength(3);
  });
});

describe('retry: what a repetition would do, as the protocol says', () => {
  const call = (
    target: string,
    json: object,
    idempotent: boolean | 'compute' = 'compute',
  ): ExchangeParts => ({
    upstream: { dialect: openai, idempotent },
    request: { method: 'POST', target },
    body: bytesBody(Buffer.from(JSON.stringify(json))),
  });

  it.each<[string, ExchangeParts, number]>([
    ['a completion costs money and no more', call('/v1/chat/completions', {}), 3],
    ['a completion, where nobody said that it may cost twice', call('/v1/chat/completions', {}, false), 1],
    ['a batch may be made twice', call('/v1/batches', {}), 1],
    ['a batch, where any request may be sent twice', call('/v1/batches', {}, true), 3],
    ['a response is a computation', call('/v1/responses', { input: 'x' }), 3],
    ['a response in the background is a job', call('/v1/responses', { background: true }), 1],
  ])('%s', async (_, parts, calls) => {
    expect((await new RetryRig(PLAIN).toTheEnd(parts, fail())).script.calls).toHaveLength(calls);
  });

  it('a stale connection costs no wait, but counts where a repetition is paid for', async () => {
    const rig = new RetryRig(PLAIN);
    const chat = await rig.toTheEnd(call('/v1/chat/completions', {}), stale);
    expect(chat.script.calls).toHaveLength(3);
    expect(chat.script.gaps[0]).toBe(0);
    const get = await rig.toTheEnd({ upstream: { dialect: openai } }, stale);
    expect(get.script.calls).toHaveLength(4);
    const none = new RetryRig({ ...PLAIN, maxRetries: 0 });
    expect((await none.toTheEnd(call('/v1/chat/completions', {}), stale)).script.calls).toHaveLength(1);
  });

  it('a refusal at the door is safe to repeat; the same words inside an answer are not', async () => {
    const overloaded = judged(verdictOf('overloaded'));
    const refused = (): ReturnType<typeof respond> => respond(503, overloaded);
    const batch = call('/v1/batches', {});
    expect((await new RetryRig(PLAIN).toTheEnd(batch, refused)).script.calls).toHaveLength(3);
    const inside = fail('upstream_error', overloaded);
    expect((await new RetryRig(PLAIN).toTheEnd(batch, inside)).script.calls).toHaveLength(1);
  });
});
