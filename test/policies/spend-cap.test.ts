import { describe, expect, it } from 'vitest';
import { AnswerFacts } from '../../src/core/dialect.ts';
import type { Usage } from '../../src/core/dialect.ts';
import type { Attempt, Exchange, NextTry } from '../../src/core/exchange.ts';
import { ModelCatalog } from '../../src/core/model-catalog.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { spendCap } from '../../src/policies/spend-cap.ts';
import { attemptAt, bytesBody, exchangeAt, identity, kit, respond } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';

policyContract({ module: spendCap, options: { tokens: 1_000 }, scope: (clock) => exchangeAt(clock) });

const models = new ModelCatalog({
  models: [],
  prices: { small: { input: 1, output: 10 }, large: { input: 100, output: 1_000 } },
  currency: 'USD',
});

const RETRY: NextTry = { by: 'retry', upstream: identity('main', { models }) };

/** A request of 4,000 bytes, about 1,000 tokens, under a bound. */
async function rig(options: object) {
  const { clock, deps, events } = kit();
  const policy = spendCap.build(spendCap.schema.parse(options), deps, undefined);
  const exchange = exchangeAt(clock, { body: bytesBody(new Uint8Array(4_000)), upstream: { models } });
  await policy.run(exchange, async () => respond(), exchange.cancellation);
  const tried = (parts: Partial<Attempt>): Attempt => Object.assign(attemptAt(clock, exchange), parts);
  return { clock, deps, events, policy, exchange, tried };
}

const answer = (usage: Partial<Usage>, model = 'small'): AnswerFacts =>
  Object.assign(new AnswerFacts(), {
    model,
    usage: { input: 0, cached: 0, output: 0, reasoning: 0, ...usage },
  });

const allows = (exchange: Exchange, next = RETRY): boolean | undefined =>
  exchange.spend?.allows(exchange, next);

describe('spend-cap', () => {
  it('allows another try while what was counted and its prompt again fit under the bound', async () => {
    const { exchange, tried } = await rig({ tokens: 2_500 });
    tried({ answer: answer({ input: 1_000, output: 500 }) });
    expect(allows(exchange)).toBe(true);
    tried({ answer: answer({ input: 1_000 }) });
    expect(allows(exchange)).toBe(false);
  });

  it('takes a quarter of the bytes for the tokens of a prompt that nobody counted', async () => {
    const { exchange, tried } = await rig({ tokens: 2_000 });
    tried({ reason: 'first_byte_timeout', verdict: verdictOf('transient') });
    expect(allows(exchange)).toBe(true);
    tried({ reason: 'first_byte_timeout', verdict: verdictOf('transient') });
    expect(allows(exchange)).toBe(false);
  });

  it('counts nothing for attempts that were turned away or never sent', async () => {
    const { exchange, tried } = await rig({ tokens: 1_000 });
    tried({ status: 429, verdict: verdictOf('throttled') });
    tried({ status: 503, verdict: verdictOf('overloaded') });
    tried({ status: 401, verdict: verdictOf('auth') });
    tried({ reason: 'connection_refused', verdict: verdictOf('transient') });
    expect(allows(exchange)).toBe(true);
  });

  it('bounds the cost by the prices of the models that answered, and of the one that comes next', async () => {
    const { exchange, tried } = await rig({ cost: 0.05 });
    tried({ answer: answer({ input: 1_000, output: 100 }) });
    expect(allows(exchange, { ...RETRY, model: 'small' })).toBe(true);
    expect(allows(exchange, { ...RETRY, model: 'large' })).toBe(false);
  });

  it('has no cost for a model without a price', async () => {
    const { exchange, tried } = await rig({ cost: 0.000001 });
    tried({ answer: answer({ input: 1e9 }, 'unknown') });
    expect(allows(exchange, { ...RETRY, model: 'unknown' })).toBe(true);
  });

  it('tells a refusal once for each kind of try', async () => {
    const { exchange, events, tried } = await rig({ tokens: 1 });
    tried({ answer: answer({ input: 1 }) });
    for (const by of ['retry', 'retry', 'fallback', 'fallback'] as const) allows(exchange, { ...RETRY, by });
    expect(events.of('spend-refused').map(({ by, upstream }) => [by, upstream])).toEqual([
      ['retry', 'main'],
      ['fallback', 'main'],
    ]);
  });

  it('holds on a ladder as the upstream that the client called has it', async () => {
    const { deps, exchange, tried } = await rig({ tokens: 1_500 });
    tried({ answer: answer({ input: 1_000 }) });
    const step = exchange.redirectedTo(identity('spare'), exchange.request);
    const generous = spendCap.build(spendCap.schema.parse({ tokens: 1e9 }), deps, undefined);
    await generous.run(step, async () => respond(), step.cancellation);
    expect(step.spend).toBe(exchange.spend);
    expect(allows(step)).toBe(false);
  });

  it('shows its bounds', async () => {
    expect((await rig({ tokens: 5, cost: 0.5 })).policy.snapshot()).toEqual({ tokens: 5, cost: 0.5 });
    expect((await rig({ cost: 0.5 })).policy.snapshot()).toEqual({ tokens: null, cost: 0.5 });
  });

  it.each([{}, { tokens: 0 }, { cost: 0 }, { tokens: 1.5 }])('cannot be %j', (options) => {
    expect(spendCap.schema.safeParse(options).success).toBe(false);
  });
});
