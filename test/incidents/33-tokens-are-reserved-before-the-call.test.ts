/**
 * A limit of tokens per minute was checked before each call and charged after it: calls at the same time all saw room,
 * and streams were charged at their heads. What a call may take is reserved before it goes, and put right at its end.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respondJson } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { ask, chunk, completion } from '../e2e/usage-fixture.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const limit = 'dialect: openai, policies: { retry: false, rateLimit: { tokens: 1000, per: 1m } }';

/** About 50 tokens of prompt, and 350 of an answer. */
const call = { ...ask({ max_tokens: 350, messages: [{ role: 'user', content: 'x'.repeat(100) }] }) };
const streamed = { ...ask({ max_tokens: 350, stream: true }), path: '/api/v1/chat/completions' };
const usage = { prompt_tokens: 60, completion_tokens: 40 };
const sent = { ...call, path: '/api/v1/chat/completions' };

it('of ten calls at once only as many go as fit together, and what they did not take is there again', async () => {
  const held = holdResponse(respondJson(completion({ usage })));
  await using upstream = await scriptedUpstream([held]);
  await using own = await ownSidecar(apiAt(upstream.origin, limit));
  const calls = Array.from({ length: 10 }, () => own.send(sent));
  await held.waitForHeld(2);
  await own.until('rate-limited', 8);
  expect(upstream.requests).toHaveLength(2);
  held.release();
  const statuses = (await Promise.all(calls)).map(({ status }) => status).sort();
  expect(statuses).toEqual([200, 200, ...Array.from({ length: 8 }, () => 429)]);
  await own.until('exchange-ended', 10);

  // 200 of 1,000 were taken in truth: two more fit at the same time, without a minute having passed.
  const more = await Promise.all([own.send(sent), own.send(sent), own.send(sent)]);
  expect(more.map(({ status }) => status).sort()).toEqual([200, 200, 429]);
});

it('a stream holds what it may take until its end, and then gives back what it did not', async () => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stream, respondJson(completion({ usage }))]);
  const one = limit.replace('tokens: 1000', 'tokens: 400');
  await using own = await ownSidecar(apiAt(upstream.origin, one));
  const first = own.send(streamed);
  await stream.head();
  await stream.write(eventText(chunk()));
  expect((await own.send(sent)).header('x-outrigger-code')).toBe('rate_limited');
  await stream.write(eventText(chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })));
  await stream.write(eventText(chunk({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 4 } })));
  expect((await own.send(sent)).header('x-outrigger-code')).toBe('rate_limited');
  await stream.write('data: [DONE]\n\n');
  await stream.end();
  expect((await first).status).toBe(200);
  await own.until('exchange-ended', 3);
  expect((await own.send({ ...sent, body: streamed.body ?? '' })).status).toBe(200);
});

it('a stream that its client leaves keeps what was reserved for it: the provider may have made all of it', async () => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stream]);
  const one = limit.replace('tokens: 1000', 'tokens: 400');
  await using own = await ownSidecar(apiAt(upstream.origin, one));
  const leaving = new AbortController();
  const answer = await Promise.all([
    fetch(`http://127.0.0.1:${own.port}/api/v1/chat/completions`, {
      ...{ method: 'POST', body: String(streamed.body), signal: leaving.signal },
      headers: { 'content-type': 'application/json' },
    }),
    stream.head().then(() => stream.write(eventText(chunk()))),
  ]);
  expect(answer[0].status).toBe(200);
  leaving.abort();
  await own.until('exchange-ended');
  const refused = await own.send(sent);
  expect(refused.header('x-outrigger-code')).toBe('rate_limited');
  // A quarter of a minute gives a quarter of the limit back, and this call needs nearly all of it.
  expect(Number(refused.header('retry-after-ms'))).toBeGreaterThan(50_000);
});
