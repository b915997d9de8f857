import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { bulkhead } from '../../src/policies/bulkhead.ts';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, exchangeAt, fail, refuse, respond, silence } from '../support/policy-kit.ts';
import { BulkheadRig, orderOf } from './bulkhead-rig.ts';
import type { Call } from './bulkhead-rig.ts';
import { policyContract } from './contract.ts';

policyContract({ module: bulkhead, options: {}, scope: (clock) => exchangeAt(clock) });
policyContract({
  module: bulkhead,
  options: { maxConcurrent: 4, adaptive: { algorithm: 'aimd', initial: 2 } },
  scope: (clock) => exchangeAt(clock),
});

const REFUSED = {
  kind: 'rejection',
  reason: 'concurrency_limit',
  by: 'bulkhead',
  verdict: { class: 'refused' },
};

const went = (calls: readonly Call[]): (number | undefined)[] => calls.map(({ wentAt }) => wentAt());

describe('bulkhead', () => {
  it('lets as many through as it has places, and the next when one of them has ended', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 2 });
    const calls = await rig.startAll([{}, {}, {}, {}]);
    expect(went(calls)).toEqual([0, 0, undefined, undefined]);
    expect(rig.snapshot).toEqual({ active: 2, queued: 2, limit: 2, refused: 0, adaptive: false });
    await rig.until(500);
    await calls[1]?.end();
    expect(went(calls)).toEqual([0, 0, 500, undefined]);
    await orderOf(calls);
    expect(rig.snapshot).toMatchObject({ active: 0, queued: 0 });
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('holds a place to the end of the body, not to the head', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 1 });
    const [first, second] = (await rig.startAll([{}, {}])) as [Call, Call];
    expect(first.outcome()).toMatchObject({ kind: 'response' });
    await rig.until(5_000);
    expect(second.wentAt()).toBeUndefined();
    await first.end();
    expect(second.wentAt()).toBe(5_000);
  });

  it.each([
    ['broken off by the upstream', (body: ReturnType<typeof bodyOf>) => body.breakOff()],
    ['broken off by a timer', (body: ReturnType<typeof bodyOf>) => body.failByTimer()],
    ['left by its client', (body: ReturnType<typeof bodyOf>) => body.failByClient()],
    ['discarded', (body: ReturnType<typeof bodyOf>) => body.discard()],
  ])('gives a place back when the body is %s', async (_, end) => {
    const rig = new BulkheadRig({ maxConcurrent: 1 });
    const [first, second] = (await rig.startAll([{}, {}])) as [Call, Call];
    end(bodyOf(first.outcome()));
    await settle();
    expect(second.wentAt()).toBe(0);
  });

  it.each([
    ['a failure', () => fail()],
    ['a refusal from below', () => refuse()],
  ])('gives a place back at once after %s', async (_, step) => {
    const rig = new BulkheadRig({ maxConcurrent: 1 });
    for (let i = 0; i < 5; i++) expect((await rig.start({}, step)).wentAt()).toBe(0);
    expect(rig.snapshot).toMatchObject({ active: 0, refused: 0 });
  });

  it('holds a place for as long as a tunnel is open', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 1 });
    const tunnel = await rig.start({}, () => respond(101, { tunnel: new PassThrough() }));
    const waiting = await rig.start();
    expect(waiting.wentAt()).toBeUndefined();
    await tunnel.end();
    expect(waiting.wentAt()).toBe(0);
  });

  it('refuses at once when as many wait as may, and says when to come back', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 2, maxQueue: 1 });
    const calls = await rig.startAll([{}, {}, {}]);
    await rig.until(4_000);
    const refused = await rig.start();
    // Two places that have been held for 4 s; two turns until it would be its own.
    expect(refused.outcome()).toMatchObject({ ...REFUSED, retryAfterMs: 4_000 });
    expect(rig.snapshot).toMatchObject({ active: 2, queued: 1, refused: 1 });
    expect(rig.kit.events.of('bulkhead-refused')).toMatchObject([{ upstream: 'main', why: 'queue-full' }]);
    await orderOf(calls);
  });

  it('lets nobody wait where maxQueue is 0', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 1, maxQueue: 0 });
    await rig.start();
    expect((await rig.start()).outcome()).toMatchObject(REFUSED);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('refuses who has waited for queueTimeout', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 1, queueTimeout: '3s' });
    await rig.start();
    const waiting = await rig.start();
    await rig.until(2_999);
    expect(waiting.outcome()).toBeUndefined();
    await rig.until(3_000);
    expect(waiting.outcome()).toMatchObject(REFUSED);
    expect(waiting.wentAt()).toBeUndefined();
    expect(rig.kit.events.of('bulkhead-refused')).toMatchObject([{ why: 'waited' }]);
    expect(rig.kit.events.of('bulkhead-waited')).toMatchObject([{ waitedMs: 3_000, end: 'refused' }]);
    expect(rig.snapshot).toMatchObject({ queued: 0, active: 1 });
  });

  it('a client that leaves gives up its place in the queue at once', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 1 });
    const [first, second, third] = (await rig.startAll([{}, {}, {}])) as [Call, Call, Call];
    await second.leave();
    expect(second.outcome()).toMatchObject({
      ...{ kind: 'failure', reason: 'client_aborted', requestSent: 'no' },
      verdict: { class: 'abandoned' },
    });
    expect(rig.snapshot).toMatchObject({ queued: 1 });
    await first.end();
    expect(third.wentAt()).toBe(0);
    await third.end();
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('a client that leaves at the moment of its turn passes the place on', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 1 });
    const [first, second, third] = (await rig.startAll([{}, {}, {}])) as [Call, Call, Call];
    await rig.until(5);
    bodyOf(first.outcome()).complete();
    second.exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(second.wentAt()).toBeUndefined();
    expect(third.wentAt()).toBe(5);
    expect(rig.kit.events.of('bulkhead-waited').map(({ end }) => end)).toEqual(['left', 'sent']);
  });

  it('a newcomer does not overtake those who wait', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 1 });
    const [first, second] = (await rig.startAll([{}, {}])) as [Call, Call];
    bodyOf(first.outcome()).complete();
    const third = await rig.start();
    expect([second.wentAt(), third.wentAt()]).toEqual([0, undefined]);
  });

  describe('shedding what would come too late', () => {
    /** A bulkhead of one place that is usually held for 4 s, and taken. */
    async function busy(): Promise<BulkheadRig> {
      const rig = new BulkheadRig({ maxConcurrent: 1, queueTimeout: '5m' });
      const call = await rig.start({}, rig.attempt(respond(), 4_000));
      await rig.until(4_000);
      expect(call.outcome()).toBeDefined();
      await rig.start({}, silence);
      return rig;
    }

    it('refuses at once who would have its answer after its deadline, as things go', async () => {
      const rig = await busy();
      const late = await rig.start({ deadlineInMs: 7_900 });
      expect(late.outcome()).toMatchObject(REFUSED);
      expect(rig.kit.events.of('bulkhead-refused')).toMatchObject([{ why: 'too-late' }]);
      const inTime = await rig.start({ deadlineInMs: 8_100 });
      expect(inTime.outcome()).toBeUndefined();
    });

    it('lets the more important in where the less important would come too late', async () => {
      const rig = await busy();
      for (let i = 0; i < 3; i++) await rig.start({ agent: 'batch', priority: 'low' });
      expect((await rig.start({ deadlineInMs: 10_000, priority: 'low' })).outcome()).toMatchObject(REFUSED);
      expect((await rig.start({ deadlineInMs: 10_000, priority: 'high' })).outcome()).toBeUndefined();
    });

    it('notices an upstream that is stuck although nothing ends', async () => {
      const rig = await busy();
      await rig.until(30_000);
      expect((await rig.start({ deadlineInMs: 20_000 })).outcome()).toMatchObject(REFUSED);
    });

    it('sheds nothing while it knows nothing', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 1 });
      await rig.start();
      expect((await rig.start({ deadlineInMs: 1 })).outcome()).toBeUndefined();
    });

    it('is not misled by a connection that stays open for hours', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 2, queueTimeout: '5m' });
      await rig.start();
      for (let i = 0; i < 20; i++) await rig.call(respond(), 1_000);
      await rig.until(7_200_000);
      await rig.start();
      expect((await rig.start({ deadlineInMs: 3_000 })).outcome()).toBeUndefined();
    });
  });

  describe('who goes first', () => {
    it('one agent with many calls does not push the single call of another behind all of them', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 2 });
      const many = await rig.startAll(Array.from({ length: 50 }, () => ({ agent: 'many' })));
      const one = await rig.start({ agent: 'one' });
      await many[0]?.end();
      expect(one.wentAt()).toBe(0);
    });

    it('one agent cannot shut the queue for the others: its last call makes room', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 1, maxQueue: 5 });
      const many = await rig.startAll(Array.from({ length: 6 }, () => ({ agent: 'many' })));
      const one = await rig.start({ agent: 'one' });
      expect(many[5]?.outcome()).toMatchObject(REFUSED);
      expect(rig.kit.events.of('bulkhead-refused')).toMatchObject([{ why: 'displaced' }]);
      expect(rig.snapshot).toMatchObject({ active: 1, queued: 5, refused: 1 });
      expect((await rig.start({ agent: 'many' })).outcome()).toMatchObject(REFUSED);
      await many[0]?.end();
      await many[1]?.end();
      expect(one.wentAt()).toBe(0);
    });

    it('a full queue makes room for the more important, and not the other way round', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 1, maxQueue: 2 });
      const [, first, second] = await rig.startAll([{}, { agent: 'b' }, { agent: 'c', priority: 'low' }]);
      const high = await rig.start({ agent: 'b', priority: 'high' });
      expect(second?.outcome()).toMatchObject(REFUSED);
      expect(high.outcome()).toBeUndefined();
      expect((await rig.start({ agent: 'd', priority: 'low' })).outcome()).toMatchObject(REFUSED);
      expect(first?.outcome()).toBeUndefined();
      expect(rig.snapshot).toMatchObject({ queued: 2, refused: 2 });
    });

    it('tells agents without a name apart by their address', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 1 });
      const calls = await rig.startAll([
        ...[{ address: '10.0.0.1' }, { address: '10.0.0.1' }, { address: '10.0.0.1' }],
        { address: '10.0.0.2' },
      ]);
      expect(await orderOf(calls)).toEqual([0, 1, 3, 2]);
    });

    it('gives places to who holds fewer, so that long calls of one do not starve the other', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 4 });
      const long = await rig.startAll(Array.from({ length: 12 }, () => ({ agent: 'long' })));
      const short = await rig.startAll(Array.from({ length: 12 }, () => ({ agent: 'short' })));
      await long[0]?.end();
      await long[1]?.end();
      // Two places each from now on: what `short` gives back is its own again.
      for (let i = 0; i < 10; i++) await short[i]?.end();
      expect(went(short).every((at) => at !== undefined)).toBe(true);
      expect(long.filter(({ wentAt }) => wentAt() !== undefined)).toHaveLength(4);
    });

    it('serves by priority, whoever it is that asks', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 1 });
      const calls = await rig.startAll([
        ...[{}, { priority: 'low' }, { agent: 'b' }, { priority: 'high' }],
        { agent: 'b', priority: 'high' },
      ]);
      expect(await orderOf(calls)).toEqual([0, 3, 4, 2, 1]);
    });

    it('knows the priority of agents, where calls say none', async () => {
      const priority = { agents: { nightly: 'low', desk: 'high' } };
      const rig = new BulkheadRig({ maxConcurrent: 1, priority });
      const calls = await rig.startAll([
        ...[{}, { agent: 'nightly' }, {}, { agent: 'desk' }],
        { agent: 'nightly', priority: 'high' },
      ]);
      expect(await orderOf(calls)).toEqual([0, 3, 4, 2, 1]);
    });

    it('lets waiting outweigh priority', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 1, queueTimeout: '5m', priority: { ageing: '2s' } });
      const [first, low] = (await rig.startAll([{}, { priority: 'low' }])) as [Call, Call];
      await rig.until(4_001);
      const high = await rig.start({ priority: 'high' });
      await first.end();
      expect([low.wentAt(), high.wentAt()]).toEqual([4_001, undefined]);
    });

    it('shares by weight where that is wanted', async () => {
      const rig = new BulkheadRig({ maxConcurrent: 1, order: 'weighted' });
      const calls = await rig.startAll([
        {},
        ...Array.from({ length: 4 }, () => ({ priority: 'normal' })),
        ...Array.from({ length: 4 }, () => ({ priority: 'high' })),
      ]);
      expect(await orderOf(calls)).toEqual([0, 5, 1, 6, 7, 2, 8, 3, 4]);
    });
  });

  it('tells of the first who waits in a minute, and of every wait', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 1, queueTimeout: '10m' });
    const [first, second] = (await rig.startAll([{}, {}, {}])) as [Call, Call, Call];
    expect(rig.kit.events.of('bulkhead-full')).toEqual([{ upstream: 'main', limit: 1 }]);
    await rig.until(2_000);
    await first.end();
    expect(rig.kit.events.of('bulkhead-waited')).toMatchObject([{ waitedMs: 2_000, end: 'sent' }]);
    await second.end();
    await rig.until(62_000);
    await rig.start();
    expect(rig.kit.events.of('bulkhead-full')).toHaveLength(2);
  });

  describe('at a reload', () => {
    it('keeps permits and queue, and changes the limit with the first exchange', async () => {
      const before = new BulkheadRig({ maxConcurrent: 1 });
      const calls = await before.startAll([{}, {}, {}]);
      const rig = new BulkheadRig({ maxConcurrent: 2 }, before);
      expect(rig.snapshot).toMatchObject({ active: 1, queued: 2, limit: 1 });
      const next = await rig.start();
      expect(rig.snapshot).toMatchObject({ active: 2, queued: 2, limit: 2 });
      expect(await orderOf([...calls, next])).toEqual([0, 1, 2, 3]);
      expect(before.snapshot).toMatchObject({ active: 0, queued: 0 });
    });

    it('follows the old rules until the first exchange: the new ones may yet be refused', async () => {
      const before = new BulkheadRig({ maxConcurrent: 1, maxQueue: 0 });
      await before.start();
      new BulkheadRig({ maxConcurrent: 9 }, before);
      expect((await before.start()).outcome()).toMatchObject(REFUSED);
    });

    it('takes nobody a place away where there are fewer now', async () => {
      const before = new BulkheadRig({ maxConcurrent: 3 });
      const calls = await before.startAll([{}, {}, {}]);
      const rig = new BulkheadRig({ maxConcurrent: 1 }, before);
      const waiting = await rig.start();
      await calls[0]?.end();
      await calls[1]?.end();
      expect(waiting.wentAt()).toBeUndefined();
      await calls[2]?.end();
      expect(waiting.wentAt()).toBe(0);
    });

    it('an exchange of the configuration before ends in the same books', async () => {
      const before = new BulkheadRig({ maxConcurrent: 1 });
      const old = await before.start();
      const rig = new BulkheadRig({ maxConcurrent: 1, maxQueue: 5 }, before);
      const waiting = await rig.start();
      before.policy.dispose();
      await old.end();
      expect(waiting.wentAt()).toBe(0);
    });
  });

  it('gives way to nobody whose call is cancelled before it begins, full or not', async () => {
    const rig = new BulkheadRig({ maxConcurrent: 1 });
    await rig.start({}, silence);
    const exchange = exchangeAt(rig.clock);
    exchange.cancellation.cancel('deadline');
    const outcome = await rig.policy.run(exchange, () => Promise.resolve(respond()), exchange.cancellation);
    expect(outcome).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded', requestSent: 'no' });
  });

  it.each([
    { maxConcurrent: 0 },
    { maxConcurrent: 1, adaptive: {} },
    { adaptive: { min: 0 } },
    { adaptive: { tolerance: 1 } },
    { adaptive: { backoffRatio: 1 } },
    { adaptive: { algorithm: 'vegas' } },
    { maxQueue: -1 },
    { queueTimeout: '0s' },
    { order: 'random' },
    { priority: { agents: { a: 'urgent' } } },
    { priority: { routes: { '/a': 'urgent' } } },
  ])('does not accept %j', (options) => {
    expect(bulkhead.schema.safeParse(options).success).toBe(false);
  });
});
