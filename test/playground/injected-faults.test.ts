import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { isWhole } from '../../src/playground/answer.ts';
import { playgroundSchema } from '../../src/playground/schema.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { chatBody, collect, eventually, failureCode, playgroundWith, postChat, sdkOf } from './fixture.ts';

describe('the faults of the playground', () => {
  it('answers an error with a configured status in the shape that the SDK understands', async () => {
    const playground = await playgroundWith({ faults: { errorRatio: 1, errorStatuses: [503] } });
    const error: unknown = await sdkOf(playground)
      .chat.completions.create(chatBody)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 503, code: 'server_is_overloaded', type: 'server_error' });
    expect(error).toMatchObject({ requestID: expect.stringMatching(/^req_/) as string });
    expect(playground.stats().faults.error).toBe(1);
  });

  it('throttles with the delay in both headers', async () => {
    const playground = await playgroundWith({ faults: { throttleRatio: 1, retryAfter: '1250ms' } });
    const error: unknown = await sdkOf(playground)
      .chat.completions.create(chatBody)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    const { code, headers } = error as InstanceType<typeof OpenAI.RateLimitError>;
    expect(code).toBe('rate_limit_exceeded');
    expect([headers.get('retry-after-ms'), headers.get('retry-after')]).toEqual(['1250', '2']);
  });

  it('resets the connection before any byte', async () => {
    const playground = await playgroundWith({ faults: { resetRatio: 1 } });
    expect(await failureCode(postChat(playground))).toBe('ECONNRESET');
    const error: unknown = await sdkOf(playground)
      .chat.completions.create(chatBody)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError);
    expect(playground.stats().endings.failed).toBe(2);
  });

  it('stalls in silence and closes the connection after stallFor', async () => {
    const clock = new FakeClock();
    const playground = await playgroundWith({ faults: { stallRatio: 1 } }, clock);
    const failure = failureCode(postChat(playground));
    await eventually(() => {
      expect(clock.pendingTimers).toBe(1);
    });
    await clock.advance(3_599_999);
    expect(playground.stats()).toMatchObject({ open: 1, faults: { stall: 1 } });
    await clock.advance(1);
    expect(await failure).toBe('UND_ERR_SOCKET');
    expect(playground.stats()).toMatchObject({ open: 0, endings: { failed: 1 } });
    expect(clock.pendingTimers).toBe(0);
  });

  it('cuts a chat stream by a clean end without terminator, which the SDK takes for success', async () => {
    const playground = await playgroundWith({ faults: { cutRatio: 1 }, stream: { tokens: 10 } });
    const text = await (await postChat(playground, { stream: true })).text();
    expect(text).toContain('"content":"You"');
    expect(text).not.toContain('[DONE]');
    expect(text).not.toContain('"finish_reason":"stop"');

    const stream = await sdkOf(playground).chat.completions.create({ ...chatBody, stream: true });
    const chunks = await collect(stream);
    expect(isWhole(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''))).toBe(false);
    await eventually(() => {
      expect(playground.stats().streams).toMatchObject({ started: 2, cut: 2, completed: 0 });
    });
  });

  it('cuts a responses stream before its final event', async () => {
    const sdk = sdkOf(await playgroundWith(), { 'x-playground-fault': 'cut' });
    const events = await collect(await sdk.responses.create({ model: 'm', input: 'hello', stream: true }));
    expect(events.at(-1)?.type).toBe('response.output_text.delta');
  });

  it('cuts even a stream of one token before that token', async () => {
    const playground = await playgroundWith({ stream: { tokens: 1 } });
    const text = await (await postChat(playground, { stream: true, fault: 'cut' })).text();
    expect(text).toContain('"role":"assistant"');
    expect(text).not.toContain('whole');
  });

  it('breaks JSON off half-way through its announced length', async () => {
    const playground = await playgroundWith({ faults: { cutRatio: 1 } });
    const response = await postChat(playground);
    expect(response.status).toBe(200);
    expect(await failureCode(response.text())).toBe('UND_ERR_SOCKET');
    expect(playground.stats()).toMatchObject({ faults: { cut: 1 }, endings: { failed: 1 }, open: 0 });
  });

  it('begins a slow answer late by slowBy on top of its latency, and then answers whole', async () => {
    const clock = new FakeClock();
    const faults = { slowRatio: 1, slowBy: '5s', latency: { min: '100ms', max: '100ms' } };
    const playground = await playgroundWith({ faults }, clock);
    const answer = postChat(playground);
    await eventually(() => {
      expect(clock.pendingTimers).toBe(1);
    });
    await clock.advance(5_099);
    expect(playground.stats().open).toBe(1);
    await clock.advance(1);
    const response = await answer;
    expect(response.headers.get('openai-processing-ms')).toBe('5100');
    expect(response.status).toBe(200);
  });

  it.each([
    ['error', 500],
    ['throttle', 429],
    ['none', 200],
    ['slow', 200],
  ])('lets the header ask for %s, whatever the ratios say', async (fault, status) => {
    const playground = await playgroundWith({
      faults: { resetRatio: 1, errorStatuses: [500], slowBy: '0ms' },
    });
    expect((await postChat(playground, { fault })).status).toBe(status);
  });

  it('refuses a fault that it does not know', async () => {
    const response = await postChat(await playgroundWith(), { fault: 'explode' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { code: 'unknown_fault', param: 'x-playground-fault' },
    });
  });

  it('applies new faults to the requests that follow', async () => {
    const playground = await playgroundWith();
    expect((await postChat(playground)).status).toBe(200);
    playground.adjust(playgroundSchema.parse({ faults: { errorRatio: 1, errorStatuses: [502] } }));
    expect((await postChat(playground)).status).toBe(502);
    playground.adjust(playgroundSchema.parse({}));
    expect((await postChat(playground)).status).toBe(200);
  });

  it('strikes every operation but neither /health nor /', async () => {
    const playground = await playgroundWith({ faults: { errorRatio: 1, errorStatuses: [500] } });
    const { url } = playground.address;
    const embedding = fetch(`${url}/v1/embeddings`, { method: 'POST', body: '{"model":"m","input":"x"}' });
    const responses = [
      await fetch(`${url}/v1/models`),
      await embedding,
      await fetch(`${url}/health`),
      await fetch(url),
    ];
    expect(responses.map(({ status }) => status)).toEqual([500, 500, 200, 200]);
    expect(playground.stats().requests).toBe(2);
  });
});

describe('the seed', () => {
  const faults = { errorRatio: 0.3, throttleRatio: 0.2, errorStatuses: [500, 502, 503] };

  const statuses = async (seed: number): Promise<number[]> => {
    const playground = await playgroundWith({ seed, faults });
    const seen: number[] = [];
    for (let i = 0; i < 40; i++) {
      const response = await postChat(playground);
      await response.text();
      seen.push(response.status);
    }
    return seen;
  };

  it('fixes the sequence of faults and of their statuses', async () => {
    const first = await statuses(42);
    expect(await statuses(42)).toEqual(first);
    expect(await statuses(43)).not.toEqual(first);
    expect(new Set(first)).toEqual(new Set([200, 429, 500, 502, 503]));
  });

  it('keeps the sequence where single requests ask for their own fault', async () => {
    const plain = await statuses(42);
    const playground = await playgroundWith({ seed: 42, faults });
    await postChat(playground, { fault: 'none' });
    const second = await postChat(playground);
    expect(second.status).toBe(plain[1]);
  });

  it('meets the ratios on the wire within four standard deviations', async () => {
    const playground = await playgroundWith({ seed: 5, faults: { errorRatio: 0.25, resetRatio: 0.1 } });
    const requests = 200;
    for (let i = 0; i < requests; i++) {
      await postChat(playground).then(
        (response) => response.text(),
        () => 'reset',
      );
    }
    for (const [fault, ratio] of [
      ['error', 0.25],
      ['reset', 0.1],
    ] as const) {
      const distance = Math.abs(playground.stats().faults[fault] - requests * ratio);
      expect(distance, fault).toBeLessThan(4 * Math.sqrt(requests * ratio * (1 - ratio)));
    }
  });
});
