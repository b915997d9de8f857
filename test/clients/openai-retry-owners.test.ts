/**
 * Who retries. SDKs with their own defaults before a dead provider: where the SDK heeds the sidecar's word, the provider
 * sees exactly the attempts that the policy allows; where it does not, what it makes is bounded by budget and breaker.
 */
import { describe, expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { TestSidecar } from '../support/start-sidecar.ts';
import { respondJson } from '../support/steps/answers.ts';
import { closeBeforeResponse } from '../support/steps/cuts.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { failureOf, openaiAt } from './fixture.ts';
import { good, withStatus } from './openai-faults.ts';
import { speakerNamed } from './openai-speakers.ts';

interface Stage extends AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly proxy: TestSidecar;
  readonly base: string;
}

const QUICK = 'backoff: { initial: 1ms, max: 1ms }';

async function stageOf(steps: readonly RequestStep[], policies: string): Promise<Stage> {
  const upstream = await scriptedUpstream(steps);
  const proxy = await startSidecar(`
upstreams:
  api: { route: /api, preset: azure-openai, endpoints: [{ url: "${upstream.origin}" }], policies: { ${policies} } }
`);
  return {
    upstream,
    proxy,
    base: `http://127.0.0.1:${proxy.port}/api`,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const DEFAULTS = { maxRetries: undefined };
const HEEDING = ['openai', 'openai (responses)', 'groq-sdk'].map(speakerNamed);

describe.each(HEEDING)('$name with its own retries, before a provider that is down', (speaker) => {
  it.each([
    ['and its connections break', closeBeforeResponse()],
    ['and says so', withStatus(503, 'server_is_overloaded')],
    ['and asks for patience', withStatus(429, 'rate_limit_exceeded', { 'retry-after-ms': '1' })],
    ['and asks for more', withStatus(500, 'server_error', { 'x-should-retry': 'true' })],
  ])('%s: it is asked as often as the policy allows, and no more', async (_, step) => {
    await using on = await stageOf([step], `retry: { maxRetries: 2, ${QUICK} }`);
    await failureOf(speaker.whole(on.base, DEFAULTS));
    expect(on.upstream.requests).toHaveLength(3);
    const counts = on.upstream.requests.map((request) => request.header('x-stainless-retry-count'));
    expect(counts).toEqual(['0', '0', '0']);
    expect(on.proxy.eventsNamed('exchange-started')).toHaveLength(1);
  });

  it('while the circuit is open it is not asked at all, nor is the sidecar asked again', async () => {
    await using on = await stageOf(
      [withStatus(500, 'server_error')],
      `retry: { maxRetries: 1, ${QUICK} }, circuitBreaker: { consecutiveFailures: 2 }`,
    );
    await failureOf(speaker.whole(on.base, DEFAULTS));
    const refused = await failureOf(speaker.whole(on.base, DEFAULTS));
    expect(refused).toMatchObject({ status: 503 });
    expect(on.upstream.requests).toHaveLength(2);
    expect(on.proxy.eventsNamed('exchange-started')).toHaveLength(2);
  });
});

describe('SDKs that do not know the sidecar’s word', () => {
  const DOWN = withStatus(500, 'server_error', { 'retry-after-ms': '1' });
  const NARROW = `retry: { maxRetries: 2, ${QUICK}, budget: { ratio: 0, floor: 2, window: 1m } }, circuitBreaker: { consecutiveFailures: 4 }`;

  it.each(['ai (chat)', 'ai (responses)'])(
    '%s comes back twice; budget and breaker bound it',
    async (name) => {
      await using on = await stageOf([DOWN], NARROW);
      await failureOf(speakerNamed(name).whole(on.base, DEFAULTS));
      // Of its three calls the first made 3 attempts, the second 1, for the budget was empty, and the third met an open circuit.
      expect(on.proxy.eventsNamed('exchange-started')).toHaveLength(3);
      expect(on.upstream.requests).toHaveLength(4);
    },
  );

  it('LangChain’s comes back as often as it is told; budget and breaker bound it', async () => {
    await using on = await stageOf([DOWN], NARROW);
    await failureOf(speakerNamed('@langchain/openai').whole(on.base, { maxRetries: 1 }));
    expect(on.proxy.eventsNamed('exchange-started')).toHaveLength(2);
    expect(on.upstream.requests).toHaveLength(4);
  });

  it.each(['ai (chat)', 'ai (responses)', '@langchain/openai'])(
    '%s told to make none makes none',
    async (name) => {
      await using on = await stageOf([withStatus(500, 'server_error')], `retry: { maxRetries: 2, ${QUICK} }`);
      await failureOf(speakerNamed(name).whole(on.base, { maxRetries: 0 }));
      expect(on.upstream.requests).toHaveLength(3);
      expect(on.proxy.eventsNamed('exchange-started')).toHaveLength(1);
    },
  );
});

describe('x-should-retry', () => {
  const call = (on: Stage) =>
    openaiAt(`${on.base}/v1`).chat.completions.create({ model: 'm', messages: [] }).withResponse();
  const headersOf = async (on: Stage): Promise<Headers> => {
    const raised = (await failureOf(call(on))) as Error & { headers: Headers };
    return raised.headers;
  };

  it.each(['true', 'false'])('of the provider (%s) is replaced where the sidecar retries', async (wish) => {
    const step = withStatus(500, 'server_error', { 'X-Should-Retry': wish });
    await using on = await stageOf([step], `retry: { maxRetries: 1, ${QUICK} }`);
    expect((await headersOf(on)).get('x-should-retry')).toBe('false');
    expect(on.upstream.requests).toHaveLength(wish === 'true' ? 2 : 1);
  });

  it('of the provider passes where the sidecar does not retry', async () => {
    const step = withStatus(500, 'server_error', { 'x-should-retry': 'true' });
    for (const policies of ['retry: false', 'retry: { maxRetries: 0 }']) {
      await using on = await stageOf([step], policies);
      expect((await headersOf(on)).get('x-should-retry')).toBe('true');
    }
  });

  it('is on no good answer of ours, and passes on one of the provider’s', async () => {
    await using plain = await stageOf([good('chat', 'JSON')], `retry: { ${QUICK} }`);
    expect((await call(plain)).response.headers.get('x-should-retry')).toBeNull();
    const odd = respondJson({ choices: [{}] }, { headers: { 'x-should-retry': 'true' } });
    await using other = await stageOf([odd], `retry: { ${QUICK} }`);
    expect((await call(other)).response.headers.get('x-should-retry')).toBe('true');
  });
});

describe('retries that an SDK makes itself', () => {
  it('are let through, and draw on the budget', async () => {
    await using on = await stageOf(
      [good('chat', 'JSON'), good('chat', 'JSON'), withStatus(500, 'server_error')],
      `retry: { maxRetries: 2, ${QUICK}, budget: { ratio: 0, floor: 3, window: 1m } }`,
    );
    const retrying = (count: number) =>
      openaiAt(`${on.base}/v1`).chat.completions.create(
        { model: 'm', messages: [] },
        { headers: { 'x-stainless-retry-count': String(count) } },
      );
    await retrying(1);
    await retrying(2);
    expect(await on.proxy.metric('outrigger_retry_budget_remaining', { upstream: 'api' })).toBe(1);
    await failureOf(retrying(0));
    // Of the two retries that the policy would make, the budget had one left.
    expect(on.upstream.requests).toHaveLength(4);
    expect(await on.proxy.metric('outrigger_retries_refused_total', { why: 'budget' })).toBe(1);
  });
});
