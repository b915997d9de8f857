/** Pacing as the official SDK sees it: real sockets, a provider with a real window, parallel calls. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respondJson } from '../support/steps/answers.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { chat, failureOf, openaiAt } from './fixture.ts';

const completion = {
  id: 'c1',
  object: 'chat.completion',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }],
};

const config = (origin: string, pacing = ''): string => `
upstreams:
  openai:
    route: /openai
    preset: openai
    endpoints: [{ url: "${origin}" }]
    policies:
      retry: false
      ${pacing}
`;

const left = (remaining: number, reset: string, limit = 4): Record<string, string> => ({
  'x-ratelimit-limit-requests': String(limit),
  'x-ratelimit-remaining-requests': String(remaining),
  'x-ratelimit-reset-requests': reset,
});

const usedUpFor = (reset: string): RequestStep => respondJson(completion, { headers: left(0, reset) });

/** Four calls per window of a fifth of a second, which begins with a call. */
class RealWindow {
  readonly #limit = 4;
  readonly #lengthMs = 200;
  #beganAt = Number.NEGATIVE_INFINITY;
  #taken = 0;
  turnedAway = 0;

  readonly script = (): RequestStep => {
    const now = performance.now();
    if (now - this.#beganAt >= this.#lengthMs) {
      this.#beganAt = now;
      this.#taken = 0;
    }
    const reset = `${Math.ceil(this.#beganAt + this.#lengthMs - now)}ms`;
    if (this.#taken < this.#limit) {
      this.#taken += 1;
      return respondJson(completion, { headers: left(this.#limit - this.#taken, reset) });
    }
    this.turnedAway += 1;
    const error = { message: 'slow down', type: 'requests', code: 'rate_limit_exceeded' };
    return respondJson({ error }, { status: 429, headers: left(0, reset) });
  };
}

const parallel = (client: OpenAI, count: number): Promise<PromiseSettledResult<unknown>[]> =>
  Promise.allSettled(Array.from({ length: count }, () => client.chat.completions.create(chat)));

describe('the OpenAI SDK, calling in parallel on a small rate limit', () => {
  it('gets an answer to every call, and its provider turns none away', async () => {
    const provider = new RealWindow();
    await using upstream = await scriptedUpstream(provider.script);
    await using proxy = await startSidecar(config(upstream.origin, 'pacing: { spread: 20ms }'));
    const client = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    await client.chat.completions.create(chat);
    const results = await parallel(client, 14);
    expect(results.map(({ status }) => status)).toEqual(results.map(() => 'fulfilled'));
    expect(provider.turnedAway).toBe(0);
    expect(upstream.requests).toHaveLength(15);
    const labels = { upstream: 'openai' };
    expect(
      await proxy.metric('outrigger_pacing_wait_seconds_count', { ...labels, end: 'sent' }),
    ).toBeGreaterThan(0);
    expect(await proxy.metric('outrigger_pacing_queue_length', labels)).toBe(0);
    expect(await proxy.metric('outrigger_provider_limit', { ...labels, dimension: 'requests' })).toBe(4);
    expect(proxy.eventsNamed('pacing-began')).toEqual([{ upstream: 'openai', obstacle: 'requests' }]);
  });

  it('without pacing has many of the same calls turned away', async () => {
    const provider = new RealWindow();
    await using upstream = await scriptedUpstream(provider.script);
    await using proxy = await startSidecar(config(upstream.origin, 'pacing: false'));
    const client = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    await parallel(client, 14);
    expect(provider.turnedAway).toBeGreaterThan(0);
  });

  it('is told by a rate-limit error of its own when the wait would be too long', async () => {
    await using upstream = await scriptedUpstream([usedUpFor('5m')]);
    await using proxy = await startSidecar(config(upstream.origin));
    const client = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    await client.chat.completions.create(chat);
    const error = await failureOf(client.chat.completions.create(chat));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error).toMatchObject({ status: 429, code: 'paced', type: 'rate_limit_error' });
    const { headers } = error as InstanceType<typeof OpenAI.RateLimitError>;
    expect(headers.get('retry-after')).toBe('60');
    expect(headers.get('x-outrigger-code')).toBe('paced');
    expect(upstream.requests).toHaveLength(1);
    const labels = { upstream: 'openai', why: 'too-late' };
    expect(await proxy.metric('outrigger_pacing_refused_total', labels)).toBe(1);
    expect(await proxy.metric('outrigger_provider_remaining', { dimension: 'requests' })).toBe(0);
  });

  it('leaves the line at once when it gives up, and nothing is sent for it', async () => {
    await using upstream = await scriptedUpstream([usedUpFor('60s')]);
    await using proxy = await startSidecar(config(upstream.origin));
    const client = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    await client.chat.completions.create(chat);
    const abort = new AbortController();
    const waiting = failureOf(client.chat.completions.create(chat, { signal: abort.signal }));
    await proxy.waitForEvent('pacing-began');
    expect(await proxy.metric('outrigger_pacing_queue_length')).toBe(1);
    abort.abort();
    expect(await waiting).toBeInstanceOf(OpenAI.APIUserAbortError);
    expect(await proxy.waitForEvent('pacing-waited')).toMatchObject([{ end: 'left' }]);
    expect(await proxy.metric('outrigger_pacing_queue_length')).toBe(0);
    expect(upstream.requests).toHaveLength(1);
  });

  it('is told of tokens by Anthropic’s fields, too', async () => {
    const reset = new Date(Date.now() + 90_000).toISOString();
    const headers = {
      'anthropic-ratelimit-input-tokens-limit': '1000',
      'anthropic-ratelimit-input-tokens-remaining': '3',
      'anthropic-ratelimit-input-tokens-reset': reset,
    };
    await using upstream = await scriptedUpstream([respondJson(completion, { headers })]);
    await using proxy = await startSidecar(config(upstream.origin, 'pacing: { maxWait: 10s }'));
    const client = openaiAt(`http://127.0.0.1:${proxy.port}/openai/v1`);
    await client.chat.completions.create(chat);
    expect(await failureOf(client.chat.completions.create(chat))).toMatchObject({ code: 'paced' });
    expect(await proxy.metric('outrigger_provider_remaining', { dimension: 'input-tokens' })).toBe(3);
  });
});
