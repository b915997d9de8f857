/** Calls with a key that another one has which is still under way, and clients that come and go meanwhile. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { CancelReason } from '../../src/core/cancellation.ts';
import type { Policy } from '../../src/core/policy.ts';
import { bodyDigest, digestOf } from '../../src/algorithms/idempotency-key.ts';
import { sleep } from '../../src/core/clock.ts';
import type { ClaimReply, OpenIdempotencyStore } from '../../src/core/idempotency-store.ts';
import { settle } from '../support/fake-clock.ts';
import { after, bytesBody, cancelledOutcome, fail, silence } from '../support/policy-kit.ts';
import { IdempotencyRig, answer, reading, response, stream, summary } from './idempotency-rig.ts';
import type { Options, Sent } from './idempotency-rig.ts';

/** An upstream that begins to answer when the test says so. */
function slow(options: Options = {}) {
  const one = stream();
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const rig = new IdempotencyRig(
    options,
    async (_, cancellation) => {
      const cut = new Promise<void>((resolve) => cancellation.onCancel(() => resolve()));
      await Promise.race([begun, cut]);
      if (cancellation.reason) return cancelledOutcome(cancellation.reason);
      cancellation.onCancel(() => one.source.breakOff('client-aborted'));
      return one.outcome;
    },
    () => answer('second run'),
  );
  const begins = async (): Promise<void> => {
    begin();
    await settle();
  };
  return { rig, begins, source: one.source };
}

/** Of a POST of `body` to the rig's path. */
const PRINT_OF_BODY = digestOf('/v1/things', bodyDigest(Buffer.from('body')));

/** Stores of which that for keys answers after a while, perhaps always the same. */
function farStores({ kit: { clock, deps } }: IdempotencyRig, ms: number, always?: ClaimReply) {
  const near = deps.stores(true);
  const idempotency: OpenIdempotencyStore = (bounds) => {
    const store = near.idempotency(bounds);
    return {
      leases: true,
      own: store.own,
      claim: async (request) => {
        await sleep(clock, ms, new Cancellation());
        return always ?? store.claim(request);
      },
      renew: () => undefined,
      complete: (claim, result) => store.complete(claim, result),
      release: (claim) => store.release(claim),
      usage: store.usage,
    };
  };
  return () => ({ ...near, idempotency });
}

const leave = async (sent: Sent, why: CancelReason = 'client-aborted'): Promise<void> => {
  sent.cancellation.cancel(why);
  await settle();
};

describe('idempotency: duplicates', () => {
  it('wait for the first and get the same answer, frame by frame', async () => {
    const { rig, begins, source } = slow();
    const [first, second] = [await rig.settled('k'), await rig.settled('k')];
    await begins();
    const sinks = [reading(first), reading(second)];
    source.push('data: 1\n\n');
    const third = await rig.settled('k');
    sinks.push(reading(third));
    source.push('data: 2\n\n');
    source.finish(['x-sum', '1']);
    for (const sink of sinks) {
      expect(sink.chunks.map(String)).toEqual(['data: 1\n\n', 'data: 2\n\n']);
      expect(sink.trailers).toEqual(['x-sum', '1']);
    }
    expect([first, second, third].map(summary)).toEqual(['200', '200 replayed', '200 replayed']);
    expect([first, second].map((one) => response(one).from)).toEqual(['upstream', 'replay']);
    expect([rig.runs, rig.results]).toEqual([1, ['run', 'joined', 'joined']]);
    expect(rig.policy.snapshot()).toMatchObject({ runs: 0, waiting: 0, unattended: 0, keys: 1 });
    expect(rig.kit.clock.pendingTimers).toBe(0);
    expect(third.cancellation.listenerCount).toBe(0);
  });

  it('get the same failure, without the attempts of another exchange', async () => {
    const failure = fail('connection_refused', { requestSent: 'no', attempt: 1 });
    const rig: IdempotencyRig = new IdempotencyRig({}, (scope, cancellation) =>
      after(rig.kit.clock, 100, failure)(scope, cancellation),
    );
    const [first, second] = [rig.send('k'), rig.send('k')];
    await rig.kit.clock.advance(100);
    expect(first.outcome).toMatchObject({ reason: 'connection_refused', attempt: 1 });
    expect(second.outcome).toMatchObject({ reason: 'connection_refused' });
    expect(second.outcome).not.toHaveProperty('attempt');
    expect(rig.runs).toBe(1);
  });

  it('know who owns the retries', async () => {
    const rig = new IdempotencyRig({}, (exchange) => {
      exchange.ownsRetries = true;
      return answer('ok');
    });
    const [first, second] = [rig.send('k'), rig.send('k')];
    await settle();
    expect([first.exchange.ownsRetries, second.exchange.ownsRetries]).toEqual([true, true]);
  });

  it('are told to come again when the first takes too long', async () => {
    const { rig, begins, source } = slow({ maxWait: '2s' });
    const first = await rig.settled('k');
    const second = await rig.settled('k');
    await rig.kit.clock.advance(1_999);
    expect(second.outcome).toBeUndefined();
    await rig.kit.clock.advance(1);
    expect(second.outcome).toMatchObject({ reason: 'idempotency_in_progress', retryAfterMs: 1_000 });
    expect(second.exchange.ownsRetries).toBe(false);
    // The first has no such bound.
    await rig.kit.clock.advance(60_000);
    expect(first.outcome).toBeUndefined();
    await begins();
    source.finish();
    expect([summary(first), rig.results]).toEqual(['200', ['run', 'busy']]);
  });

  it('are told so shortly before their own deadline', async () => {
    const { rig } = slow();
    await rig.settled('k');
    const second = await rig.settled('k', { deadlineMs: 5_000 });
    await rig.kit.clock.advance(4_900);
    expect(summary(second)).toBe('idempotency_in_progress');
  });

  it('do not wait at all where they are told so, which is no matter of the first, however far the store', async () => {
    const rig = new IdempotencyRig({}, answer('ok'));
    rig.policy = rig.build({ maxWait: '0s' }, undefined, { stores: farStores(rig, 20) });
    const first = rig.send('k', { deadlineMs: 90 });
    await rig.kit.clock.advance(20);
    expect(summary(first)).toBe('200');
  });

  it('wait no longer than they may for what another sidecar runs, also as the first here', async () => {
    const rig = new IdempotencyRig({});
    const stores = farStores(rig, 20, { kind: 'running', fingerprint: PRINT_OF_BODY });
    rig.policy = rig.build({ maxWait: '1s' }, undefined, { stores });
    const first = rig.send('k');
    await rig.kit.clock.advance(1_019);
    expect(first.outcome).toBeUndefined();
    await rig.kit.clock.advance(1);
    expect(summary(first)).toBe('idempotency_in_progress');
    await rig.kit.clock.advance(1_000);
    expect([rig.runs, rig.kit.clock.pendingTimers, rig.policy.snapshot()['runs']]).toEqual([0, 0, 0]);
  });

  it('are bounded in number, those that read along included', async () => {
    const { rig, begins, source } = slow({ maxWaiting: 2 });
    const [, second, third, fourth] = [rig.send('k'), rig.send('k'), rig.send('k'), rig.send('k')];
    await settle();
    expect(summary(fourth)).toBe('idempotency_in_progress');
    await leave(third);
    const fifth = await rig.settled('k');
    await begins();
    reading(fifth);
    expect(summary(await rig.settled('k'))).toBe('idempotency_in_progress');
    reading(second);
    expect(rig.policy.snapshot()).toMatchObject({ waiting: 2 });
    source.finish();
    expect(rig.policy.snapshot()).toMatchObject({ waiting: 0 });
  });

  it('cannot join an answer that is too long, and are told so', async () => {
    const { rig, begins, source } = slow({ maxEntryBytes: '1KiB' });
    const first = await rig.settled('k');
    await begins();
    const sink = reading(first);
    source.push(Buffer.alloc(2_000));
    expect(summary(await rig.settled('k'))).toBe('idempotency_in_progress');
    source.finish();
    expect([sink.ends, summary(await rig.settled('k'))]).toEqual([1, 'idempotency_not_kept']);
  });

  it('have room for what runs at the same time, and no more', async () => {
    const streams = [stream(), stream()];
    const rig = new IdempotencyRig({ maxBytes: '4KiB' }, streams[0]!.outcome, streams[1]!.outcome);
    const sinks = [reading(await rig.settled('a')), reading(await rig.settled('b'))];
    for (const { source } of streams) source.push(Buffer.alloc(3_000));
    expect(summary(await rig.settled('a'))).toBe('200 replayed');
    expect(summary(await rig.settled('b'))).toBe('idempotency_in_progress');
    for (const { source } of streams) source.finish();
    expect(sinks.map(({ text, ends }) => [text.length, ends])).toEqual([
      [3_000, 1],
      [3_000, 1],
    ]);
    expect(rig.ends).toEqual(['answer', 'unkept']);
  });

  it('need their first client where there is no room for its request', async () => {
    const rig = new IdempotencyRig({ maxBytes: '1KiB' }, silence);
    const [large, small] = [await rig.settled('a', { text: 'x'.repeat(2_000) }), await rig.settled('b')];
    await leave(large);
    await leave(small);
    expect(rig.script.calls.map(({ cancellation }) => cancellation.cancelled)).toEqual([true, false]);
  });

  it('do not wait for the end of a refusal', async () => {
    const refused = stream(429);
    const rig = new IdempotencyRig({}, refused.outcome, answer('done'));
    const first = await rig.settled('k');
    const sink = reading(first);
    refused.source.push('not');
    expect(await rig.text('k')).toBe('done');
    refused.source.push(' now');
    refused.source.finish();
    expect([sink.text, rig.runs]).toEqual(['not now', 2]);
  });

  it('take no part in the answer of another body, path or client', async () => {
    const { rig, begins, source } = slow();
    await rig.settled('k');
    const other = await rig.settled('k', { agentId: 'other' });
    expect([rig.runs, reading(other).text]).toEqual([2, 'second run']);
    await begins();
    source.finish();
  });
});

describe('idempotency: clients that leave', () => {
  it('do not end the run: what comes of it is kept', async () => {
    const { rig, begins, source } = slow();
    const first = await rig.settled('k');
    await leave(first);
    expect(first.outcome).toMatchObject({
      reason: 'client_aborted',
      requestSent: 'maybe',
      verdict: { class: 'abandoned' },
    });
    expect(rig.policy.snapshot()).toMatchObject({ runs: 1, unattended: 1 });
    await begins();
    source.push('done');
    source.finish();
    expect(await rig.text('k')).toBe('done');
    expect([rig.runs, rig.ends]).toEqual([1, ['answer']]);
    expect(rig.policy.snapshot()).toMatchObject({ runs: 0, unattended: 0 });
    expect(rig.kit.clock.pendingTimers).toBe(0);
  });

  it('do not end it in the middle of the answer either', async () => {
    const { rig, begins, source } = slow();
    const first = await rig.settled('k');
    await begins();
    const sink = reading(first);
    source.push('half, ');
    await leave(first);
    expect(sink.aborted?.end).toBe('client-aborted');
    source.push('and half');
    const second = await rig.settled('k');
    const rest = reading(second);
    source.finish();
    expect([rest.text, rest.ends, rig.runs]).toEqual(['half, and half', 1, 1]);
  });

  it('end it where it is to end with them, and it is unknown then', async () => {
    const { rig } = slow({ finish: false });
    await leave(await rig.settled('k'));
    expect(rig.script.calls[0]?.cancellation.reason).toBe('client-aborted');
    expect(summary(await rig.settled('k'))).toBe('outcome_unknown');
    expect(rig.kit.clock.pendingTimers).toBe(0);
  });

  it.each([
    ['finish', '3s', 60_000, 3_000],
    ['the deadline', '1m', 4_000, 4_000],
  ] as const)('let it go on within %s', async (_, finish, deadlineMs, boundMs) => {
    const { rig } = slow({ finish });
    await leave(await rig.settled('k', { deadlineMs }));
    const run = rig.script.calls[0]?.cancellation;
    await rig.kit.clock.advance(boundMs - 1);
    expect(run?.cancelled).toBe(false);
    await rig.kit.clock.advance(1);
    expect(run?.reason).toBe('deadline');
    expect(summary(await rig.settled('k'))).toBe('outcome_unknown');
  });

  it('let a stream that has begun go on past the deadline', async () => {
    const { rig, begins, source } = slow({ finish: '1m' });
    const first = await rig.settled('k', { deadlineMs: 4_000 });
    await begins();
    reading(first);
    await rig.kit.clock.advance(10_000);
    await leave(first);
    await rig.kit.clock.advance(59_999);
    source.push('done');
    source.finish();
    expect(await rig.text('k')).toBe('done');
  });

  it('end it at once when its time was up', async () => {
    const { rig } = slow();
    const first = await rig.settled('k', { deadlineMs: 1_000 });
    await rig.kit.clock.advance(1_000);
    await leave(first, 'deadline');
    expect(rig.script.calls[0]?.cancellation.reason).toBe('deadline');
    expect(first.outcome).toMatchObject({ reason: 'deadline_exceeded', requestSent: 'maybe' });
  });

  it('end it when the sidecar stops', async () => {
    const { rig } = slow();
    await leave(await rig.settled('k'), 'shutdown');
    expect(rig.script.calls[0]?.cancellation.reason).toBe('shutdown');
  });

  it('end it where it needs their upload', async () => {
    const { rig } = slow();
    const unread = {
      ...bytesBody(Buffer.from('')),
      peek: () => undefined,
      whole: () => Promise.resolve(undefined),
    };
    await leave(await rig.settled('k', { body: unread }));
    expect(rig.script.calls[0]?.cancellation.reason).toBe('client-aborted');
  });

  it('end it where a repetition does no harm: then it would only cost', async () => {
    const { rig } = slow();
    await leave(await rig.settled('k', { upstream: { idempotent: true } }));
    expect(rig.script.calls[0]?.cancellation.reason).toBe('client-aborted');
    expect(await rig.text('k', { upstream: { idempotent: true } })).toBe('second run');
  });

  it('let no more of them go on than there may be', async () => {
    const rig = new IdempotencyRig({ maxUnattended: 1 }, silence);
    const [a, b] = [await rig.settled('a'), await rig.settled('b')];
    await leave(a);
    await leave(b);
    expect(rig.script.calls.map(({ cancellation }) => cancellation.reason)).toEqual([
      undefined,
      'client-aborted',
    ]);
    expect(summary(await rig.settled('b'))).toBe('outcome_unknown');
    const back = await rig.settled('a');
    expect(rig.policy.snapshot()).toMatchObject({ unattended: 0 });
    await leave(back);
    expect(rig.policy.snapshot()).toMatchObject({ unattended: 1 });
  });

  it('leave it to the others, the first as well as a duplicate', async () => {
    const { rig, begins, source } = slow({ finish: false });
    const [first, second, third] = [rig.send('k'), rig.send('k'), rig.send('k')];
    await settle();
    await leave(first);
    await leave(second);
    await begins();
    const sink = reading(third);
    source.push('done');
    source.finish();
    expect([sink.text, rig.runs, rig.ends]).toEqual(['done', 1, ['answer']]);
  });

  it('begin nothing when they are gone already', async () => {
    const rig = new IdempotencyRig({});
    const gone = rig.send('k', { body: { ...bytesBody(Buffer.from('')), peek: () => undefined } });
    gone.cancellation.cancel('client-aborted');
    await settle();
    expect([summary(gone), rig.runs, rig.policy.snapshot()['keys']]).toEqual(['client_aborted', 0, 0]);
  });

  it('that come while it is being given up are run or told what became of it', async () => {
    const { rig } = slow({ finish: false });
    const first = await rig.settled('k');
    first.cancellation.cancel('client-aborted');
    const second = rig.send('k');
    await settle();
    expect([summary(second), rig.runs]).toEqual(['outcome_unknown', 1]);
  });
});

describe('idempotency: reloads', () => {
  const reload = (rig: IdempotencyRig, options: Options): Policy<never> => {
    rig.policy = rig.build(options, rig.policy);
    return rig.policy as never;
  };

  it('keep keys, runs and those who wait', async () => {
    const { rig, begins, source } = slow();
    const first = await rig.settled('k');
    reload(rig, { maxWait: '1s' });
    const second = await rig.settled('k');
    await begins();
    const sinks = [reading(first), reading(second)];
    source.push('done');
    source.finish();
    expect(sinks.map(({ text }) => text)).toEqual(['done', 'done']);
    reload(rig, { maxEntries: 5 });
    expect(await rig.text('k')).toBe('done');
    expect(rig.runs).toBe(1);
  });

  it('change nothing before there is a call', async () => {
    const rig = new IdempotencyRig({}, () => answer('ok'));
    for (const key of ['a', 'b', 'c']) await rig.text(key);
    rig.build({ maxEntries: 1 }, rig.policy);
    expect(rig.policy.snapshot()).toMatchObject({ keys: 3 });
    reload(rig, { maxEntries: 2 });
    await rig.text('d');
    expect(rig.policy.snapshot()).toMatchObject({ keys: 2, evictedKeys: 2 });
  });
});

describe('idempotency, whatever clients do', () => {
  type Act = {
    readonly do: 'send' | 'leave' | 'push' | 'begin' | 'end' | 'cut' | 'wait';
    readonly who: number;
  };
  const act: fc.Arbitrary<Act> = fc.record({
    do: fc.constantFrom('send', 'send', 'leave', 'push', 'push', 'begin', 'end', 'cut', 'wait'),
    who: fc.nat(5),
  });

  it('runs a key once, tells everyone something, and holds nothing at the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 25 }), fc.boolean(), async (acts, finish) => {
        const { rig, begins, source } = slow({ finish: finish ? '10s' : false, maxWait: '3s' });
        const sent: Sent[] = [];
        const read = new Map<Sent, ReturnType<typeof reading>>();
        let over = false;
        for (const one of acts) {
          if (one.do === 'send') sent.push(rig.send('k'));
          if (one.do === 'leave') sent[one.who]?.cancellation.cancel('client-aborted');
          if (one.do === 'push' && !over) source.push(`${one.who}`);
          if (one.do === 'begin') await begins();
          if (one.do === 'wait') await rig.kit.clock.advance(500);
          if (one.do === 'end' || one.do === 'cut') {
            if (!over && one.do === 'end') source.finish();
            else if (!over) source.breakOff();
            over = true;
          }
          await settle();
          for (const each of sent)
            if (!read.has(each) && each.outcome?.kind === 'response') read.set(each, reading(each));
        }
        await begins();
        if (!over) source.finish();
        await rig.kit.clock.advance(20_000);
        expect(rig.runs).toBeLessThanOrEqual(1);
        for (const each of sent) expect(each.outcome).toBeDefined();
        const whole = [...read.values()].filter(({ trailers }) => trailers).map(({ text }) => text);
        expect(new Set(whole).size).toBeLessThanOrEqual(1);
        expect(rig.policy.snapshot()).toMatchObject({ runs: 0, unattended: 0 });
        for (const each of sent) each.cancellation.cancel('client-aborted');
        expect(rig.policy.snapshot()).toMatchObject({ waiting: 0 });
        expect(rig.kit.clock.pendingTimers).toBe(0);
        expect(sent.map(({ cancellation }) => cancellation.listenerCount)).toEqual(sent.map(() => 0));
      }),
      { numRuns: 150 },
    );
  });
});
