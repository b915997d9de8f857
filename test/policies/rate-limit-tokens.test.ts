/** Tokens per minute: reserved by estimate, put right by what was counted. */
import { describe, expect, it } from 'vitest';
import { AnswerFacts } from '../../src/core/dialect.ts';
import type { Usage } from '../../src/core/dialect.ts';
import type { Attempt, Exchange } from '../../src/core/exchange.ts';
import type { RequestBody } from '../../src/core/request.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { openai } from '../../src/dialects/openai.ts';
import { settle } from '../support/fake-clock.ts';
import { attemptAt, bodyOf, bytesBody, fail, respond } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';
import { RateLimitRig } from './rate-limit-rig.ts';

const THOUSAND_A_MINUTE = { tokens: 1_000, per: '1m' };

/** A chat request of 400 bytes, about 100 tokens. */
function chat(parts: object = {}): ExchangeParts {
  const bare = JSON.stringify({ model: 'm', ...parts, messages: [] });
  const text = JSON.stringify({ model: 'm', ...parts, messages: ['x'.repeat(398 - bare.length)] });
  return {
    upstream: { dialect: openai },
    request: {
      method: 'POST',
      target: '/v1/chat/completions',
      headers: ['content-type', 'application/json'],
    },
    body: bytesBody(Buffer.from(text)),
  };
}

const usage = (input: number, output: number): Usage => ({ input, output, cached: 0, reasoning: 0 });

/** One attempt, with what is known of it when its answer begins. */
const attempt =
  (rig: RateLimitRig, parts: Partial<Attempt>, outcome = () => respond()): Step<Exchange> =>
  (exchange) => {
    Object.assign(attemptAt(rig.clock, exchange), parts);
    return outcome();
  };

const counted = (input: number, output: number): Partial<Attempt> => ({
  status: 200,
  answer: Object.assign(new AnswerFacts(), { usage: usage(input, output) }),
});

const left = (rig: RateLimitRig): unknown =>
  (rig.policy.snapshot()['limits'] as { remaining: number }[])[0]?.remaining;

/** What the bucket itself holds: a snapshot goes by the last call. */
async function room(rig: RateLimitRig): Promise<number> {
  const size = { burst: 1_000, ratePerSecond: 1_000 / 60 };
  const { limits } = rig.kit.deps.stores(true);
  const { levels } = await limits.take([{ key: 'main/tokens/1m', size, cost: 0 }]);
  expect(left(rig)).toBe(Math.floor((levels[0]?.remaining ?? Number.NaN) + 1e-6));
  return Math.round(levels[0]?.remaining ?? Number.NaN);
}

describe('a limit of tokens', () => {
  it('reserves a quarter of the bytes of the prompt and the most that the answer may have', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    await rig.call(chat({ max_tokens: 300 }));
    expect(left(rig)).toBe(600);
  });

  it('so that calls at the same time cannot take more together', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const calls = Array.from({ length: 6 }, () => rig.start(chat({ max_tokens: 300 })));
    await settle();
    expect(calls.filter(({ wentAt }) => wentAt() !== undefined)).toHaveLength(2);
    expect(calls[2]?.outcome()).toMatchObject({
      reason: 'rate_limited',
      retryAfterMs: 12_000,
      headers: [
        ...['ratelimit-policy', '"tokens/1m";q=1000;qu="tokens";w=60'],
        ...['ratelimit', '"tokens/1m";r=200;t=12'],
      ],
    });
  });

  it('gives back at the end of the answer what it did not have, and not before', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const { outcome } = await rig.call(chat({ max_tokens: 800 }), attempt(rig, counted(80, 40)));
    expect(await room(rig)).toBe(100);
    bodyOf(outcome()).complete();
    expect(await room(rig)).toBe(880);
  });

  it('lets those who wait go when it was given back', async () => {
    const rig = new RateLimitRig({ ...THOUSAND_A_MINUTE, maxWait: '1m' });
    const { outcome } = await rig.call(chat({ max_tokens: 800 }), attempt(rig, counted(80, 40)));
    const next = await rig.call(chat({ max_tokens: 300 }));
    expect(next.wentAt()).toBeUndefined();
    await rig.until(2_000);
    bodyOf(outcome()).complete();
    await settle();
    expect(next.wentAt()).toBe(2_000);
    await rig.until(3_000);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('takes more where there was more, into debt', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const { outcome } = await rig.call(chat({ max_tokens: 100 }), attempt(rig, counted(100, 2_400)));
    bodyOf(outcome()).complete();
    const refused = await rig.call(chat({ max_tokens: 100 }));
    const outcomeOfNext = refused.outcome();
    expect(outcomeOfNext).toMatchObject({ reason: 'rate_limited' });
    expect(outcomeOfNext?.kind === 'rejection' && outcomeOfNext.retryAfterMs).toBeCloseTo(102_000, 3);
  });

  it('keeps the estimate of a stream that broke off without a count', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const call = await rig.call(chat({ max_tokens: 300, stream: true }), attempt(rig, { status: 200 }));
    bodyOf(call.outcome()).failByClient();
    expect(await room(rig)).toBe(600);
  });

  it('owes nothing for an estimate that nobody put right, however high it was', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const { outcome } = await rig.call(chat({ max_tokens: 1_000_000 }), attempt(rig, { status: 200 }));
    expect(await room(rig)).toBe(0);
    bodyOf(outcome()).complete();
    expect(await room(rig)).toBe(0);
    await rig.until(24_000);
    expect((await rig.call(chat({ max_tokens: 300 }))).wentAt()).toBe(24_000);
  });

  it('takes what was counted before a stream broke off', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const call = await rig.call(chat({ max_tokens: 300, stream: true }), attempt(rig, counted(90, 10)));
    bodyOf(call.outcome()).breakOff();
    expect(await room(rig)).toBe(900);
  });

  it('counts every attempt, but none that no model was asked for', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const { outcome } = await rig.call(chat({ max_tokens: 400 }), (exchange) => {
      const made = (parts: Partial<Attempt>) => Object.assign(attemptAt(rig.clock, exchange), parts);
      made({ reason: 'connection_refused', verdict: verdictOf('transient') });
      made({ status: 429, verdict: verdictOf('throttled') });
      made({ reason: 'first_byte_timeout', verdict: verdictOf('transient') });
      made(counted(100, 20));
      return respond();
    });
    bodyOf(outcome()).complete();
    // 100 for the prompt of the attempt that came to nothing, 120 for the one that was counted.
    expect(await room(rig)).toBe(780);
  });

  it('gives everything back for a call that never got to a model', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const unsent = { reason: 'connection_refused', verdict: verdictOf('transient') } as const;
    await rig.call(
      chat({ max_tokens: 800 }),
      attempt(rig, unsent, () => fail('connection_refused') as never),
    );
    expect(await room(rig)).toBe(1_000);
  });

  it('takes for an answer without a bound what answers usually have', async () => {
    const rig = new RateLimitRig({ tokens: 100_000, per: '1m' });
    await rig.call(chat());
    expect(left(rig)).toBe(100_000 - 100 - 500);
    for (let i = 0; i < 60; i++) {
      const { outcome } = await rig.call(chat(), attempt(rig, counted(100, 50)));
      bodyOf(outcome()).complete();
    }
    const before = left(rig) as number;
    await rig.call(chat());
    expect(before - (left(rig) as number)).toBeLessThan(100 + 55);
  });

  it('takes for what generates nothing its prompt alone', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const parts = chat();
    await rig.call({ ...parts, request: { ...parts.request, target: '/v1/embeddings' } });
    expect(left(rig)).toBe(900);
  });

  it('concerns no call that takes none', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    await rig.call(chat({ max_tokens: 900 }));
    const { wentAt } = await rig.call({ upstream: { dialect: openai }, request: { target: '/v1/models' } });
    expect(wentAt()).toBe(0);
  });

  it('is never too small for a call: that waits for a full bucket and takes all of it', async () => {
    const rig = new RateLimitRig({ ...THOUSAND_A_MINUTE, maxWait: '2m' });
    const first = await rig.call(chat({ max_tokens: 50_000 }), attempt(rig, counted(100, 4_900)));
    expect(first.wentAt()).toBe(0);
    const second = await rig.call(chat({ max_tokens: 50_000 }));
    await rig.until(59_000);
    expect(second.wentAt()).toBeUndefined();
    await rig.until(61_000);
    expect(second.wentAt()).toBeCloseTo(60_000, 0);
  });

  it('waits for the body, in which everything stands', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const { body } = chat({ max_tokens: 300 });
    let arrive: () => void = () => undefined;
    let here = false;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const late: RequestBody = {
      replayable: true,
      shareable: false,
      waitingForClient: true,
      get length() {
        return here ? body?.length : undefined;
      },
      open: () => null,
      peek: () => (here ? body?.peek() : undefined),
      whole: async () => {
        await arrived;
        here = true;
        return body?.peek();
      },
    };
    const call = await rig.call({ ...chat(), body: late });
    expect(call.wentAt()).toBeUndefined();
    arrive();
    await settle();
    expect(call.wentAt()).toBe(0);
    expect(left(rig)).toBe(600);
  });

  it('takes a body that cannot be kept, and does not say how long it is, for all that there is', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const endless: RequestBody = {
      replayable: false,
      shareable: false,
      length: undefined,
      waitingForClient: true,
      open: () => null,
      peek: () => undefined,
      whole: () => Promise.resolve(undefined),
    };
    const { outcome } = await rig.call({ ...chat(), body: endless }, attempt(rig, counted(300, 100)));
    expect(left(rig)).toBe(0);
    bodyOf(outcome()).complete();
    expect(await room(rig)).toBe(600);
  });

  it('leaves at once with a client that leaves during its upload', async () => {
    const rig = new RateLimitRig(THOUSAND_A_MINUTE);
    const stuck: RequestBody = {
      replayable: true,
      shareable: false,
      length: undefined,
      waitingForClient: true,
      open: () => null,
      peek: () => undefined,
      whole: () => new Promise(() => undefined),
    };
    const call = await rig.call({ ...chat(), body: stuck });
    call.exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(call.outcome()).toMatchObject({ kind: 'failure', reason: 'client_aborted' });
    expect(await room(rig)).toBe(1_000);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1e300, 1e300])(
    'survives a provider that counts %s tokens',
    async (nonsense) => {
      const rig = new RateLimitRig(THOUSAND_A_MINUTE);
      const { outcome } = await rig.call(
        chat({ max_tokens: 100 }),
        attempt(rig, counted(nonsense, nonsense)),
      );
      bodyOf(outcome()).complete();
      await rig.until(11 * 60_000);
      const { wentAt } = await rig.call(chat({ max_tokens: 100 }));
      expect(wentAt()).toBe(11 * 60_000);
    },
  );
});
