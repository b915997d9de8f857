import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/core/outcome.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { bodyOf, fail, judged, refuse, respond } from '../support/policy-kit.ts';
import { settle } from '../support/fake-clock.ts';
import { BulkheadRig } from './bulkhead-rig.ts';

const AIMD = { algorithm: 'aimd', initial: 8, min: 2, backoffRatio: 0.5 };
const rigOf = (adaptive: object = AIMD, parts: object = {}): BulkheadRig =>
  new BulkheadRig({ maxConcurrent: 20, adaptive, ...parts });

const limitAfter = async (outcome: () => Outcome, rig = rigOf()): Promise<unknown> => {
  await rig.call(outcome());
  return rig.snapshot['limit'];
};

/** As many calls at a time as there are places, and as many more as fill the round. */
async function round(rig: BulkheadRig, ms = 100): Promise<void> {
  const limit = Number(rig.snapshot['limit']);
  for (let i = 0; i < Math.max(16, limit); i += limit) {
    for (let n = 0; n < limit; n++) await rig.start({}, rig.attempt(respond(), ms));
    await rig.clock.advance(ms);
  }
}

describe('bulkhead with an adaptive limit', () => {
  it.each<[string, () => Outcome]>([
    ['a refusal for load', () => respond(503, judged(verdictOf('overloaded')))],
    ['a 429', () => respond(429)],
    ['a head that did not come in time', () => fail('first_byte_timeout')],
    ['a first token that did not come in time', () => fail('first_token_timeout')],
    ['a connection that did not come in time', () => fail('connection_timeout')],
    ['a deadline that passed', () => fail('deadline_exceeded')],
  ])('steps down after %s', async (_, outcome) => {
    expect(await limitAfter(outcome)).toBe(4);
  });

  it.each<[string, () => Outcome]>([
    ['a good answer', () => respond()],
    ['an error of the client', () => respond(404)],
    ['an error of the upstream that is not load', () => respond(500)],
    ['a reset', () => fail('connection_reset')],
    ['a refusal from below', () => refuse()],
    ['a client that left', () => fail('client_aborted', { verdict: verdictOf('abandoned') })],
    ['a switch of protocols', () => respond(101)],
  ])('keeps its limit after %s', async (_, outcome) => {
    expect(await limitAfter(outcome)).toBe(8);
  });

  it('steps down for a body that stopped in the middle', async () => {
    const rig = rigOf();
    const call = await rig.start();
    await rig.until(30_000);
    bodyOf(call.outcome()).failByTimer();
    await settle();
    expect(rig.snapshot).toMatchObject({ limit: 4, active: 0 });
  });

  it('sees every try of an exchange', async () => {
    const rig = rigOf();
    await rig.start({}, async (exchange, cancellation) => {
      const first = rig.attempt(fail('first_byte_timeout'), 100);
      if (typeof first === 'function') await first(exchange, cancellation);
      const second = rig.attempt(respond(), 100);
      return typeof second === 'function' ? second(exchange, cancellation) : second;
    });
    await rig.until(1_000);
    expect(rig.snapshot).toMatchObject({ limit: 4 });
  });

  it('measures tries, not the time between them', async () => {
    const rig = rigOf({ ...AIMD, latencyThreshold: '1s' });
    await rig.start({}, async (exchange, cancellation) => {
      await new Promise<void>((resolve) => void rig.clock.setTimer(60_000, resolve));
      const step = rig.attempt(respond(), 100);
      return typeof step === 'function' ? step(exchange, cancellation) : step;
    });
    await rig.until(61_000);
    expect(rig.snapshot).toMatchObject({ limit: 8 });
  });

  it('grows only while all of it is used, up to maxConcurrent', async () => {
    const rig = rigOf();
    for (let i = 0; i < 40; i++) await rig.call(respond());
    expect(rig.snapshot).toMatchObject({ limit: 8 });
    for (let i = 0; i < 40; i++) await round(rig);
    expect(rig.snapshot).toMatchObject({ limit: 20, active: 0, adaptive: 'aimd' });
  });

  it('lets those who wait go as it grows', async () => {
    const rig = rigOf({ ...AIMD, initial: 2 });
    for (let i = 0; i < 2; i++) await rig.start({}, rig.attempt(respond(), 100));
    const waiting = [await rig.start(), await rig.start(), await rig.start()];
    await rig.until(100);
    expect(waiting.map(({ wentAt }) => wentAt())).toEqual([100, 100, 100]);
    expect(rig.snapshot).toMatchObject({ limit: 3, active: 3 });
  });

  it('never goes below the minimum, and tells once when it is there', async () => {
    const rig = rigOf();
    for (let i = 0; i < 10; i++) await rig.call(respond(429));
    expect(rig.snapshot).toMatchObject({ limit: 2 });
    expect(rig.kit.events.of('bulkhead-at-minimum')).toEqual([{ upstream: 'main', limit: 2 }]);
  });

  it('follows the latency by default, and shows what it takes for usual', async () => {
    const rig = rigOf({});
    for (let i = 0; i < 6; i++) await round(rig);
    const before = Number(rig.snapshot['limit']);
    expect(before).toBeGreaterThan(10);
    expect(rig.snapshot).toMatchObject({ adaptive: 'gradient', baselineMs: 100 });
    await round(rig, 400);
    await round(rig, 400);
    expect(rig.snapshot['limit']).toBeLessThan(before);
  });

  describe('at a reload', () => {
    it('goes on from where it was', async () => {
      const before = rigOf();
      await before.call(respond(429));
      const rig = new BulkheadRig({ maxConcurrent: 30, adaptive: AIMD }, before);
      expect(rig.snapshot).toMatchObject({ limit: 4 });
      await rig.call(respond());
      expect(rig.snapshot).toMatchObject({ limit: 4 });
    });

    it('goes on from there also with another algorithm, within the new range', async () => {
      const before = rigOf();
      await before.call(respond(429));
      const rig = new BulkheadRig({ adaptive: { algorithm: 'gradient', min: 6 } }, before);
      await rig.call(respond());
      expect(rig.snapshot).toMatchObject({ limit: 6, adaptive: 'gradient' });
    });

    it('becomes fixed, and adaptive again', async () => {
      const before = rigOf();
      const fixed = new BulkheadRig({ maxConcurrent: 5 }, before);
      await fixed.call(respond(429));
      expect(fixed.snapshot).toMatchObject({ limit: 5, adaptive: false });
      const rig = new BulkheadRig({ maxConcurrent: 5, adaptive: { initial: 3 } }, fixed);
      await rig.call(respond());
      expect(rig.snapshot).toMatchObject({ limit: 3, adaptive: 'gradient' });
    });
  });
});
