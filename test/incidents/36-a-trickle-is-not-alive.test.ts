/**
 * A stream that lived at a token a second never tripped an idle timer and held its place for an hour. How slow is too
 * slow is the operator's to say; what is slow is seen in any case.
 */
import { expect, it } from 'vitest';
import { chatChunk } from '../support/openai-fixtures.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const WORD = eventText(chatChunk({ content: 'a' }));
const DONE = eventText('[DONE]');
const POST = { method: 'POST', path: '/api/v1/chat/completions', body: '{"stream":true}' } as const;

async function trickling(policies: string) {
  const stream = controlledStream();
  const upstream = await scriptedUpstream([stream]);
  const own = await ownSidecar(apiAt(upstream.origin, `preset: azure-openai, policies: { ${policies} }`));
  const sending = own.send(POST);
  await stream.head();
  await stream.write(WORD);
  const answer = await sending;
  let sent = WORD.length;
  const wordAfter = async (ms: number): Promise<void> => {
    await own.clock.advance(ms);
    await stream.write(WORD);
    sent += WORD.length;
    await answer.waitForBytes(sent);
  };
  return {
    own,
    stream,
    answer,
    wordAfter,
    [Symbol.asyncDispose]: async () => {
      await own[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

it('a stream that brings less than it must is broken off, though it is never silent', async () => {
  await using run = await trickling('attemptTimeout: { idle: 5s, minProgress: { bytes: 4KiB, per: 30s } }');
  for (let n = 0; n < 9; n++) await run.wordAfter(3_000);
  await run.own.clock.advance(3_000);
  expect(await run.answer.ended()).toBe('complete');
  expect(run.answer.received.toString()).toContain('"code":"too_slow"');
  expect(run.own.events.of('attempt-timed-out')).toMatchObject([{ reason: 'too-slow' }]);
  expect(await run.own.series('outrigger_timeouts_total')).toEqual([
    'outrigger_timeouts_total{upstream="api",timer="too-slow"} 1',
  ]);
});

it('a stream that brings enough lives, and so does any where nobody asked for more', async () => {
  for (const policies of [
    'attemptTimeout: { idle: 5s, minProgress: { bytes: 1KiB, per: 30s } }',
    'attemptTimeout: { idle: 5s }',
  ]) {
    await using run = await trickling(policies);
    for (let n = 0; n < 40; n++) await run.wordAfter(3_000);
    await run.stream.write(DONE);
    await run.stream.end();
    expect((await run.answer.text()).endsWith(DONE)).toBe(true);
    const [read] = await run.own.until('answer-read');
    expect(read?.attempt.answer).toMatchObject({ longestGapMs: 3_000, events: 42 });
  }
});
