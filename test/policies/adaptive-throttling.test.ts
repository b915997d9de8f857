import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/core/outcome.ts';
import type { Random } from '../../src/core/random.ts';
import { seededRandom } from '../../src/core/random.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { AdaptiveThrottling, adaptiveThrottling } from '../../src/policies/adaptive-throttling.ts';
import { exchangeAt, fail, finish, judged, kit, refuse, respond } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';

policyContract({
  module: adaptiveThrottling,
  options: { minimumRequests: 1_000 },
  scope: (clock) => exchangeAt(clock),
});

const overloaded = (): Outcome => respond(503, judged(verdictOf('overloaded')));

/** Calls one after the other. @param random decides who is kept back: 0 everyone that can be, 0.999 nobody */
function rigOf(options: object = {}, random: Random = { next: () => 0.5 }) {
  const { clock, deps, events } = kit({ random });
  const build = (more: object = options, previous?: AdaptiveThrottling) =>
    new AdaptiveThrottling(adaptiveThrottling.schema.parse(more), { ...deps, random }, previous);
  const policy = build();
  const call = async (outcome: () => Outcome, by = policy): Promise<Outcome> => {
    const exchange = exchangeAt(clock);
    const ended = await by.run(exchange, async () => outcome(), exchange.cancellation);
    finish(ended);
    return ended;
  };
  const calls = async (times: number, outcome: () => Outcome, by = policy): Promise<Outcome[]> => {
    const all: Outcome[] = [];
    for (let i = 0; i < times; i++) all.push(await call(outcome, by));
    return all;
  };
  return { clock, events, policy, call, calls, build };
}

const isShed = (outcome: Outcome): boolean => outcome.kind === 'rejection' && outcome.reason === 'load_shed';

describe('adaptive-throttling', () => {
  it('keeps nothing back while the upstream takes on what it is sent', async () => {
    const { calls, policy } = rigOf({}, { next: () => 0 });
    expect((await calls(200, respond)).some(isShed)).toBe(false);
    expect(policy.snapshot()).toEqual({ probability: 0, requests: 200, accepts: 200 });
  });

  it('keeps nothing back before minimumRequests', async () => {
    const { calls } = rigOf({ minimumRequests: 30 });
    const outcomes = await calls(40, overloaded);
    expect(outcomes.findIndex(isShed)).toBe(30);
  });

  it('refuses with a reason of its own and a time that grows with the share it keeps back', async () => {
    const { call, calls, events } = rigOf();
    await calls(20, overloaded);
    const outcome = await call(overloaded);
    // 20 of 21: one in 21 comes through; three quarters of that for jitter.
    expect(outcome).toMatchObject({
      ...{ kind: 'rejection', reason: 'load_shed', by: 'adaptive-throttling' },
      ...{ verdict: { class: 'refused' }, retryAfterMs: expect.closeTo(15_750, 3) as number },
    });
    expect(events.of('throttling-began')).toEqual([{ upstream: 'main', requests: 20, accepts: 0 }]);
    expect(events.of('throttling-refused')).toMatchObject([{ upstream: 'main', probability: 20 / 21 }]);
  });

  it('never asks to wait longer than half a minute', async () => {
    const { calls } = rigOf({}, { next: () => 0.9 });
    const outcomes = await calls(1_000, overloaded);
    for (const outcome of outcomes)
      if (outcome.kind === 'rejection') expect(outcome.retryAfterMs).toBeLessThanOrEqual(30_000);
  });

  it('lets no spare through while it keeps calls back, and counts none', async () => {
    const { clock, calls, policy, events } = rigOf({}, { next: () => 0.999 });
    await calls(20, overloaded);
    const exchange = exchangeAt(clock);
    exchange.nextAttempt = { backoffMs: 0, freshConnection: false, spare: true };
    const outcome = await policy.run(exchange, async () => respond(), exchange.cancellation);
    expect(isShed(outcome)).toBe(true);
    expect(policy.snapshot()).toMatchObject({ requests: 20, accepts: 0 });
    expect(events.of('throttling-refused')).toEqual([]);
  });

  it('counts what it keeps back as asked for', async () => {
    const { calls, policy } = rigOf();
    await calls(50, overloaded);
    expect(policy.snapshot()).toMatchObject({ requests: 50, accepts: 0 });
  });

  it('sends about twice what an upstream with room for a fifth takes on', async () => {
    const { clock, call } = rigOf({}, seededRandom(2));
    let [sent, taken] = [0, 0];
    for (let second = 0; second < 600; second++) {
      let room = 2;
      for (let i = 0; i < 10; i++) {
        const outcome = await call(() => (room-- > 0 ? respond() : overloaded()));
        if (second < 300) continue;
        if (!isShed(outcome)) sent += 1;
        if (outcome.verdict.class === 'ok') taken += 1;
      }
      await clock.advance(1_000);
    }
    expect(taken).toBeGreaterThan(500);
    expect(sent / taken).toBeGreaterThan(1.6);
    expect(sent / taken).toBeLessThan(2.4);
  });

  it.each<[string, () => Outcome]>([
    ['an error of the client', () => respond(404)],
    ['a 429', () => respond(429)],
    ['a failure that is not for load', () => fail()],
  ])('counts %s as taken on', async (_, outcome) => {
    const { calls, policy } = rigOf();
    await calls(10, outcome);
    expect(policy.snapshot()).toMatchObject({ requests: 10, accepts: 10 });
  });

  it.each<[string, () => Outcome]>([
    ['a refusal from below', () => refuse('circuit_open')],
    ['a client that left', () => fail('client_aborted', { verdict: verdictOf('abandoned') })],
  ])('learns nothing from %s', async (_, outcome) => {
    const { calls, policy } = rigOf();
    await calls(10, outcome);
    expect(policy.snapshot()).toMatchObject({ requests: 0, accepts: 0 });
  });

  it('does not take what is under way for turned away', async () => {
    const { clock, policy } = rigOf({ minimumRequests: 1 }, { next: () => 0 });
    const exchanges = Array.from({ length: 50 }, () => exchangeAt(clock));
    const never = (): Promise<Outcome> => new Promise(() => undefined);
    for (const exchange of exchanges) void policy.run(exchange, never, exchange.cancellation);
    expect(policy.snapshot()).toEqual({ probability: 0, requests: 0, accepts: 0 });
  });

  it('counts the classes that it is told to', async () => {
    const { calls, policy } = rigOf({ classes: ['overloaded', 'transient'] });
    await calls(10, () => fail('first_byte_timeout'));
    expect(policy.snapshot()).toMatchObject({ requests: 10, accepts: 0 });
  });

  it('forgets with the window, and tells again of a share that it keeps back', async () => {
    const { clock, call, calls, events } = rigOf({ window: '1m' });
    await calls(30, overloaded);
    await clock.advance(70_000);
    expect(isShed(await call(respond))).toBe(false);
    await calls(30, overloaded);
    expect(events.of('throttling-began')).toHaveLength(2);
  });

  it('goes on counting over a reload', async () => {
    const { calls, build, call } = rigOf();
    await calls(30, overloaded);
    const after = build({ multiplier: 1.5 }, rigOf().policy);
    expect(after.snapshot()).toMatchObject({ requests: 0 });
    const first = build();
    await calls(30, overloaded, first);
    const next = build({ multiplier: 1.5 }, first);
    expect(next.snapshot()).toMatchObject({ requests: 30, accepts: 0 });
    expect(isShed(await call(overloaded, next))).toBe(true);
  });

  it.each([
    { multiplier: 0.9 },
    { minimumRequests: 0 },
    { window: '0s' },
    { classes: [] },
    { classes: ['ok'] },
  ])('does not accept %j', (options) => {
    expect(adaptiveThrottling.schema.safeParse(options).success).toBe(false);
  });
});
