import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { NextTry } from '../../src/core/exchange.ts';
import { discard } from '../../src/core/outcome.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { hedge } from '../../src/policies/hedge.ts';
import { settle } from '../support/fake-clock.ts';
import { NO_BODY, attemptAt, bodyOf, exchangeAt, fail, finish } from '../support/policy-kit.ts';
import { refuse, respond, silence } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';
import { HedgeRig, inTime, trailOf } from './hedge-rig.ts';

for (const after of ['100ms', { learn: 'p95' }] as const)
  policyContract({ module: hedge, options: { after }, scope: (clock) => exchangeAt(clock) });

const AFTER_800 = { after: '800ms', budget: { floor: 100 } } as const;

describe('hedge: an attempt that takes long', () => {
  it('gets a spare at another endpoint, whose answer counts when it is the first; the slow one is given up', async () => {
    const rig = new HedgeRig(AFTER_800);
    const answer = respond();
    const call = rig.start({}, silence, inTime(rig, 50, answer));
    await rig.clock.advance(799);
    expect(call.wire.calls).toHaveLength(1);
    await rig.clock.advance(1);
    expect(call.wire.calls).toHaveLength(2);
    await rig.clock.advance(49);
    expect(call.outcome()).toBeUndefined();
    await rig.clock.advance(1);
    expect(call.outcome()).toBe(answer);
    expect(call.wire.calls[0]?.cancellation.reason).toBe('superseded');
    expect(trailOf(call)).toEqual(['a superseded', 'b 200 spare']);
    expect(call.exchange.attempts[1]).toMatchObject({ backoffMs: 0, freshConnection: false });
    expect(rig.winners).toEqual(['spare']);
    expect(rig.events.of('hedge-fired')).toMatchObject([{ afterMs: 800, attempt: { number: 2 } }]);
    finish(answer);
    await settle();
    expect(rig.clock.pendingTimers).toBe(0);
    expect(call.exchange.cancellation.listenerCount).toBe(0);
  });

  it('keeps running beside its spare, and can still be the first', async () => {
    const rig = new HedgeRig(AFTER_800);
    const answer = respond();
    const call = rig.start({}, inTime(rig, 900, answer), silence);
    await rig.clock.advance(900);
    expect(call.outcome()).toBe(answer);
    expect(trailOf(call)).toEqual(['a 200', 'b superseded spare']);
    expect(rig.winners).toEqual(['first']);
    expect(bodyOf(answer).ended).toBe(false);
  });

  it('gets none when it ends in time, well or badly', async () => {
    const rig = new HedgeRig(AFTER_800);
    for (const outcome of [respond(), respond(503), fail(), refuse()]) {
      const call = rig.start({}, inTime(rig, 799, outcome));
      await rig.clock.advance(10_000);
      expect(call.wire.calls).toHaveLength(1);
      expect(call.outcome()).toMatchObject({ kind: outcome.kind });
      expect(rig.clock.pendingTimers).toBe(0);
    }
    expect(rig.events.of('hedge-fired')).toEqual([]);
    expect(rig.winners).toEqual([]);
  });

  it('gets further spares one by one, as many as are allowed', async () => {
    const rig = new HedgeRig({ ...AFTER_800, maxSpares: 3 });
    const call = rig.start({}, silence);
    await rig.clock.advance(60_000);
    expect(call.wire.gaps).toEqual([800, 800, 800]);
    // Never the endpoint that was asked last, also when all have been.
    expect(trailOf(call)).toEqual(['a pending', 'b pending spare', 'c pending spare', 'b pending spare']);
    call.exchange.cancellation.cancel('client-aborted');
  });

  it('is given up together with its spare when the client leaves, and nothing more is begun', async () => {
    const rig = new HedgeRig({ ...AFTER_800, maxSpares: 5 });
    const call = rig.start({}, silence);
    await rig.clock.advance(1_000);
    call.exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(call.outcome()).toMatchObject({ kind: 'failure', reason: 'client_aborted' });
    expect(call.wire.calls.map(({ cancellation }) => cancellation.reason)).toEqual([
      'client-aborted',
      'client-aborted',
    ]);
    await rig.clock.advance(60_000);
    expect(call.wire.calls).toHaveLength(2);
    expect(rig.clock.pendingTimers).toBe(0);
    expect(call.exchange.cancellation.listenerCount).toBe(0);
    expect(rig.winners).toEqual([]);
  });

  it('hands the switch of protocols through and races nothing', async () => {
    const rig = new HedgeRig(AFTER_800);
    const tunnel = respond(101, { tunnel: new PassThrough() });
    const call = rig.start({ request: { upgrade: 'websocket' } }, inTime(rig, 5_000, tunnel));
    await rig.clock.advance(5_000);
    expect(call.outcome()).toMatchObject({ kind: 'response', head: { status: 101 } });
    expect(call.wire.calls).toHaveLength(1);
  });
});

describe('hedge: an answer that is not good', () => {
  const BAD: Readonly<Record<string, () => Outcome>> = {
    'a 503': () => respond(503),
    'a 429': () => respond(429),
    'a 401': () => respond(401),
    'a 402': () => respond(402),
    // Perhaps of the twin: one of two with the same key is still at work.
    'a 409': () => respond(409),
    'a reset': () => fail(),
    'a bad certificate': () => fail('tls_certificate_error', { requestSent: 'no' }),
  };

  it.each(Object.entries(BAD))('such as %s of the first waits for the spare', async (_, make) => {
    const rig = new HedgeRig(AFTER_800);
    const [bad, good] = [make(), respond()];
    const call = rig.start({}, inTime(rig, 900, bad), inTime(rig, 500, good));
    await rig.clock.advance(1_299);
    expect(call.outcome()).toBeUndefined();
    await rig.clock.advance(1);
    expect(call.outcome()).toBe(good);
    if (bad.kind === 'response') expect(bodyOf(bad).discards).toBe(1);
    expect(rig.winners).toEqual(['spare']);
  });

  it.each(Object.entries(BAD))('such as %s of the spare waits for the first', async (_, make) => {
    const rig = new HedgeRig(AFTER_800);
    const good = respond();
    const call = rig.start({}, inTime(rig, 2_000, good), make());
    await rig.clock.advance(2_000);
    expect(call.outcome()).toBe(good);
    expect(rig.winners).toEqual(['first']);
  });

  it.each([400, 404, 413, 422])('but final, such as %i, ends the race', async (status) => {
    const rig = new HedgeRig(AFTER_800);
    const final = respond(status);
    const call = rig.start({}, silence, final);
    await rig.clock.advance(800);
    expect(bodyOf(call.outcome())).toBe(bodyOf(final));
    expect(trailOf(call)).toEqual(['a superseded', `b ${status} spare`]);
  });

  it('but final inside a 200 ends it, too', async () => {
    const rig = new HedgeRig(AFTER_800);
    const exchange = exchangeAt(rig.clock);
    const ending = fail('upstream_error', { verdict: verdictOf('content_filter'), json: {} });
    const outcome = rig.policy.run(
      exchange,
      () => {
        const attempt = attemptAt(rig.clock, exchange);
        return attempt.spare ? Promise.resolve(ending) : silence(exchange, attempt.cancellation);
      },
      exchange.cancellation,
    );
    await rig.clock.advance(800);
    expect(await outcome).toBe(ending);
    expect(exchange.attempts[0]?.cancellation.reason).toBe('superseded');
  });

  it.each([
    { first: respond(503), spare: fail(), tells: 'first' },
    { first: fail(), spare: respond(429), tells: 'spare' },
    { first: fail(), spare: fail('connection_refused', { requestSent: 'no' }), tells: 'first' },
    { first: fail('connection_refused', { requestSent: 'no' }), spare: fail(), tells: 'spare' },
    { first: fail(), spare: refuse('circuit_open'), tells: 'first' },
    { first: respond(503), spare: respond(409), tells: 'first' },
    { first: respond(409), spare: respond(500), tells: 'spare' },
    // Of equals the newer: it knows more of what is left.
    { first: respond(500), spare: respond(503), tells: 'spare' },
    { first: fail(), spare: fail('first_byte_timeout'), tells: 'spare' },
  ])('is the most telling when none is good ($tells, $#)', async ({ first, spare, tells }) => {
    const rig = new HedgeRig(AFTER_800);
    const call = rig.start({}, inTime(rig, 1_000, first), inTime(rig, 500, spare));
    await rig.clock.advance(1_300);
    const [kept, released] = tells === 'first' ? [first, spare] : [spare, first];
    const outcome = call.outcome();
    expect(outcome?.kind).toBe(kept.kind);
    if (kept.kind === 'response') expect(bodyOf(outcome)).toBe(bodyOf(kept));
    else expect(outcome).toMatchObject({ reason: kept.reason });
    if (kept.kind === 'response') expect(bodyOf(kept).discards).toBe(0);
    if (released.kind === 'response') expect(bodyOf(released).discards).toBe(1);
    expect(rig.winners).toEqual([]);
    if (outcome) discard(outcome);
    await settle();
    expect(rig.clock.pendingTimers).toBe(0);
    expect(call.exchange.cancellation.listenerCount).toBe(0);
  });

  it('and was held back when the time is up does not stand in for the end that came', async () => {
    const rig = new HedgeRig(AFTER_800);
    const held = respond(503);
    const call = rig.start({}, inTime(rig, 900, held), silence);
    await rig.clock.advance(1_000);
    call.exchange.cancellation.cancel('deadline');
    await settle();
    expect(call.outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded' });
    expect(bodyOf(held).discards).toBe(1);
  });
});

describe('hedge: there is no spare', () => {
  const slow = async (rig: HedgeRig, parts: Parameters<HedgeRig['start']>[0]): Promise<number> => {
    const call = rig.start(parts, inTime(rig, 5_000, respond()), respond());
    await rig.clock.advance(5_000);
    expect(call.outcome()).toMatchObject({ kind: 'response' });
    return call.exchange.attempts.length - 1;
  };

  it.each(['POST', 'PATCH', 'PUT', 'DELETE', 'CONNECT'])('for a %s', async (method) => {
    const rig = new HedgeRig(AFTER_800);
    expect(await slow(rig, { request: { method } })).toBe(0);
    expect(rig.refusals).toEqual(['unsafe']);
  });

  it.each(['POST', 'PUT', 'DELETE'])(
    'but for a %s with a key, or where the operator says so',
    async (method) => {
      const rig = new HedgeRig(AFTER_800);
      expect(await slow(rig, { request: { method, headers: ['Idempotency-Key', 'k1'] } })).toBe(1);
      expect(await slow(rig, { request: { method }, upstream: { idempotent: true } })).toBe(1);
      expect(await slow(rig, { request: { method, headers: ['idempotency-key', ' '] } })).toBe(0);
    },
  );

  it('for a computation, key or not, but where the operator lets it be paid for twice', async () => {
    const rig = new HedgeRig(AFTER_800);
    const request = { method: 'POST', headers: ['Idempotency-Key', 'k1'] };
    const compute = (idempotent: boolean | 'compute') => ({
      request,
      upstream: { idempotent },
      prepare: (exchange: ReturnType<typeof exchangeAt>) =>
        Object.defineProperty(exchange, 'call', { value: { ...exchange.call, repeat: 'compute' } }),
    });
    expect(await slow(rig, compute(false))).toBe(0);
    expect(await slow(rig, compute('compute'))).toBe(1);
    expect(await slow(rig, compute(true))).toBe(1);
  });

  it('for a body that is too large to be kept', async () => {
    const rig = new HedgeRig(AFTER_800);
    expect(await slow(rig, { body: { ...NO_BODY, replayable: false, shareable: false } })).toBe(0);
    expect(rig.refusals).toEqual(['not-replayable']);
  });

  it('while the body is still on its way', async () => {
    const rig = new HedgeRig(AFTER_800);
    const body = { ...NO_BODY, shareable: false };
    const call = rig.start({ body }, silence, respond());
    await rig.clock.advance(5_000);
    expect(call.exchange.attempts).toHaveLength(1);
    body.shareable = true;
    await rig.clock.advance(800);
    expect(trailOf(call)).toEqual(['a superseded', 'b 200 spare']);
    expect(rig.refusals).toEqual([]);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('for what belongs to a session', async () => {
    const rig = new HedgeRig(AFTER_800);
    const { dialect } = exchangeAt(rig.clock).upstream;
    const upstream = { dialect: { ...dialect, sessionHeader: 'mcp-session-id' } };
    expect(await slow(rig, { upstream, request: { headers: ['Mcp-Session-Id', 's1'] } })).toBe(0);
    expect(rig.refusals).toEqual(['session']);
    expect(await slow(rig, { upstream })).toBe(1);
  });

  it('when less time is left than makes an attempt slow', async () => {
    const rig = new HedgeRig(AFTER_800);
    expect(await slow(rig, { deadlineInMs: 1_600 })).toBe(0);
    expect(rig.refusals).toEqual(['deadline']);
    expect(await slow(rig, { deadlineInMs: 1_601 })).toBe(1);
  });

  it('when the exchange may not cost more, which is asked as of every try', async () => {
    const rig = new HedgeRig(AFTER_800);
    const asked: NextTry[] = [];
    const prepare = (exchange: ReturnType<typeof exchangeAt>): void => {
      exchange.spend = { allows: (_, next) => asked.push(next) > 1 };
    };
    expect(await slow(rig, { prepare })).toBe(0);
    expect(rig.refusals).toEqual(['spend']);
    expect(asked).toMatchObject([{ by: 'hedge', upstream: { name: 'main' } }]);
  });

  it('beyond the budget, which fills with requests and with time', async () => {
    const rig = new HedgeRig({ after: '800ms', budget: { ratio: 0.1, floor: 1, window: '100s' } });
    expect(await slow(rig, {})).toBe(1);
    expect(await slow(rig, {})).toBe(0);
    expect(rig.refusals).toEqual(['budget']);
    for (let n = 0; n < 8; n++) await rig.take(0);
    expect(await slow(rig, {})).toBe(1);
    expect(await slow(rig, {})).toBe(0);
    await rig.clock.advance(110_000);
    expect(await slow(rig, {})).toBe(1);
  });

  it('out of a request that is tried again and again: it counts once', async () => {
    const rig = new HedgeRig({ after: '800ms', budget: { ratio: 1, floor: 0 } });
    const call = rig.start({}, respond(503));
    for (let n = 0; n < 5; n++)
      await rig.policy.run(call.exchange, () => Promise.resolve(respond(503)), call.exchange.cancellation);
    expect(rig.policy.snapshot()).toMatchObject({ budgetRemaining: 1 });
  });

  it('where a policy below refuses it: that costs no budget, is no outcome and leaves no race', async () => {
    const rig = new HedgeRig({ after: '800ms', budget: { floor: 1 }, maxSpares: 3 });
    const good = respond();
    const call = rig.start({}, inTime(rig, 9_000, good), refuse('credentials_cooling'));
    await rig.clock.advance(8_999);
    expect(rig.refusals).toEqual(['credentials_cooling']);
    expect(call.exchange.attempts).toHaveLength(1);
    expect(rig.policy.snapshot()).toMatchObject({ budgetRemaining: 1 });
    expect(call.outcome()).toBeUndefined();
    await rig.clock.advance(1);
    expect(call.outcome()).toBe(good);
    expect(call.wire.calls).toHaveLength(2);
    expect(rig.winners).toEqual([]);
  });
});

describe('hedge: attempts that withdraw while others run', () => {
  it('keep their numbers in the trail where later ones have begun', async () => {
    const rig = new HedgeRig({ ...AFTER_800, maxSpares: 2 });
    const call = rig.start(
      {},
      inTime(rig, 5_000, respond()),
      inTime(rig, 1_000, refuse('credentials_cooling')),
      silence,
    );
    await rig.clock.advance(5_000);
    expect(trailOf(call)).toEqual(['a 200', 'b credentials_cooling spare', 'c superseded spare']);
    expect(call.exchange.attempts.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(rig.winners).toEqual(['first']);
  });

  it('go with those before them that had withdrawn', async () => {
    const rig = new HedgeRig({ ...AFTER_800, maxSpares: 2 });
    const call = rig.start(
      {},
      inTime(rig, 5_000, respond()),
      inTime(rig, 1_000, refuse('credentials_cooling')),
      inTime(rig, 500, refuse('credentials_cooling')),
    );
    await rig.clock.advance(5_000);
    expect(trailOf(call)).toEqual(['a 200']);
  });
});

describe('hedge: a delay that is learnt', () => {
  const LEARNT = {
    after: { learn: 'p90', minimumSamples: 10, min: '10ms', max: '2s' },
    budget: { floor: 9 },
  };

  it('is not known before there are enough samples, and there are no spares meanwhile', async () => {
    const rig = new HedgeRig(LEARNT);
    for (let n = 0; n < 9; n++) await rig.take(100);
    expect(rig.policy.snapshot()).toMatchObject({ delayMs: null, samples: 9 });
    const call = rig.start({}, silence);
    await rig.clock.advance(60_000);
    expect(call.wire.calls).toHaveLength(1);
    await rig.take(100);
    expect(Number(rig.policy.snapshot()['delayMs'])).toBeGreaterThan(97);
    expect(Number(rig.policy.snapshot()['delayMs'])).toBeLessThan(103);
    call.exchange.cancellation.cancel('client-aborted');
  });

  it('is the percentile, and a spare begins after it', async () => {
    const rig = new HedgeRig(LEARNT);
    for (let n = 1; n <= 10; n++) await rig.take(n * 100);
    const delayMs = rig.policy.delayMs ?? 0;
    expect(Math.abs(delayMs - 900) / 900).toBeLessThan(0.025);
    const call = rig.start({}, silence, respond());
    await rig.clock.advance(delayMs);
    expect(call.wire.gaps).toEqual([delayMs]);
  });

  it.each([
    [1, 10],
    [9_000, 2_000],
  ])('of answers that take %i ms stays within its limits: %i', async (tookMs, delayMs) => {
    const rig = new HedgeRig(LEARNT);
    for (let n = 0; n < 10; n++) await rig.take(tookMs);
    expect(rig.policy.delayMs).toBe(delayMs);
  });

  it('takes no notice of quick failures, and counts slow ones and those that lost a race as slow', async () => {
    const rig = new HedgeRig(LEARNT);
    for (let n = 0; n < 90; n++) await rig.take(100);
    for (let n = 0; n < 500; n++) await rig.take(1, respond(503));
    expect(rig.policy.snapshot()).toMatchObject({ samples: 90 });
    expect(Math.round((rig.policy.delayMs ?? 0) / 10)).toBe(10);
    for (let n = 0; n < 9; n++) {
      const call = rig.start({}, silence, inTime(rig, 400, respond()));
      await rig.clock.advance(1_000);
      expect(call.outcome()).toMatchObject({ kind: 'response' });
    }
    // Nine that lost after half a second, beside ninety of 100 ms; their spares are not counted.
    expect(rig.policy.snapshot()).toMatchObject({ samples: 99 });
    await rig.take(500);
    expect(rig.policy.delayMs).toBeLessThan(110);
    await rig.take(500);
    expect(rig.policy.delayMs).toBeGreaterThan(450);
  });

  it('does not shrink by its own doing: races that are won early leave it where it was', async () => {
    const rig = new HedgeRig({ ...LEARNT, budget: { floor: 1_000 } });
    const slowly = (n: number): number => (n % 5 === 0 ? 1_500 : 100);
    for (let n = 1; n <= 100; n++) await rig.take(slowly(n));
    const before = rig.policy.delayMs ?? 0;
    expect(before).toBeGreaterThan(1_400);
    for (let n = 1; n <= 500; n++) {
      rig.start({}, inTime(rig, slowly(n), respond()), inTime(rig, 1, respond()));
      await rig.clock.advance(1_600);
    }
    expect(rig.winners.filter((by) => by === 'spare').length).toBeGreaterThan(90);
    expect(rig.policy.delayMs).toBeGreaterThanOrEqual(before);
  });

  it('forgets what is older than the window', async () => {
    const rig = new HedgeRig({ after: { minimumSamples: 1, window: '1m' } });
    await rig.take(100);
    expect(rig.policy.snapshot()).toMatchObject({ samples: 1 });
    await rig.clock.advance(60_000);
    expect(rig.policy.snapshot()).toMatchObject({ samples: 0, delayMs: null });
  });

  it.each([
    [{ learn: 'p95' }, true],
    [{ learn: 'p99.9', factor: 1.5 }, true],
    [{ learn: 'p49' }, false],
    [{ learn: 'p100' }, false],
    [{ learn: 0.95 }, false],
    [{ min: '2s', max: '1s' }, false],
  ])('is written as %j: %s', (after, valid) => {
    expect(hedge.schema.safeParse({ after }).success).toBe(valid);
  });
});

describe('hedge: across a reload', () => {
  it('what was learnt and what was spent stay, and a race under way goes on by its own rules', async () => {
    const before = new HedgeRig({ after: { minimumSamples: 2 }, budget: { ratio: 0, floor: 2 } });
    await before.take(100);
    await before.take(100);
    const call = before.start({}, silence, inTime(before, 100, respond()));
    const next = before.reloaded({
      after: { minimumSamples: 1, factor: 10 },
      budget: { ratio: 0, floor: 3 },
    });
    expect(Math.round((next.policy.delayMs ?? 0) / 100)).toBe(10);
    await before.clock.advance(300);
    expect(call.outcome()).toMatchObject({ kind: 'response' });
    expect(next.policy.snapshot()).toMatchObject({ budgetRemaining: 2, samples: 3 });
  });

  it('a window of another length begins anew', async () => {
    const before = new HedgeRig({ after: { minimumSamples: 1 } });
    await before.take(100);
    const next = before.reloaded({ after: { minimumSamples: 1, window: '1h' } });
    expect(next.policy.snapshot()).toMatchObject({ samples: 0, delayMs: null });
    expect(next.reloaded({ after: '1s' }).policy.snapshot()).toMatchObject({ samples: null, delayMs: 1_000 });
  });
});

it('hedge: a bug below surfaces', async () => {
  const rig = new HedgeRig(AFTER_800);
  const exchange = exchangeAt(rig.clock);
  const broken = rig.policy.run(exchange, () => Promise.reject(new Error('a bug')), exchange.cancellation);
  await expect(broken).rejects.toThrow('a bug');
});
