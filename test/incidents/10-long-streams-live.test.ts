/**
 * Streams in good health were cut after 15 seconds, 30 seconds or 5 minutes by a total timeout. A stream that has begun
 * has none: it lives for as long as something moves, and a keep-alive comment is something.
 */
import { expect, it } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { sse } from '../support/steps/event-stream.ts';
import { stall } from '../support/steps/silence.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const MINUTE_MS = 60_000;

it.each([
  ['events', 'text/event-stream', (n: number) => `data: ${n}\n\n`],
  ['nothing but keep-alive comments', 'text/event-stream; charset=utf-8', () => ': keep-alive\n\n'],
  ['lines of JSON', 'application/x-ndjson', (n: number) => `{"n":${n}}\n`],
])('two hours of %s pass through a sidecar where nothing is set', async (_, type, piece) => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stream]);
  await using own = await ownSidecar(apiAt(upstream.origin));
  const answer = own.send({ method: 'POST', body: '{"stream":true}' });
  await stream.head({ headers: { 'content-type': type } });
  const response = await answer;
  const sent: string[] = [];
  for (let n = 1; n <= 66; n++) {
    await own.clock.advance(119_000);
    sent.push(piece(n));
    await stream.write(piece(n));
    expect((await response.nextChunk())?.bytes.toString()).toBe(piece(n));
  }
  await stream.cut();
  expect(await response.text()).toBe(sent.join(''));
  const [ending] = await own.until('exchange-ended');
  expect(ending).toMatchObject({ result: 'ok', reason: undefined });
  expect(ending?.durationMs).toBeGreaterThan(120 * MINUTE_MS);
});

it('a deadline, the operator’s or the caller’s, bounds the wait for a stream and not the stream', async () => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stream, stall()]);
  await using own = await ownSidecar(apiAt(upstream.origin, 'policies: { deadline: { after: 15s } }'));
  const headers = { 'x-request-timeout-ms': '10000' };
  const answer = own.send({ headers });
  await stream.waitForRequest();
  await own.clock.advance(9_999);
  await stream.head();
  const response = await answer;
  for (let n = 1; n <= 20; n++) {
    await own.clock.advance(MINUTE_MS);
    await stream.write(`data: ${n}\n\n`);
    await response.nextChunk();
  }
  await stream.end();
  expect(await response.ended()).toBe('complete');
  expect(own.events.of('deadline-exceeded')).toEqual([]);

  const unanswered = own.send({ headers });
  await upstream.waitForRequest(2);
  await own.clock.advance(10_000);
  expect((await unanswered).header('x-outrigger-code')).toBe('deadline_exceeded');
});

it('a stream that falls silent is ended by that silence, however long it lived', async () => {
  await using upstream = await scriptedUpstream([sse({ events: ['one'], end: 'stall' })]);
  await using own = await ownSidecar(apiAt(upstream.origin));
  const response = await own.send();
  await response.nextChunk();
  await own.clock.advance(119_999);
  expect(response.end).toBe('open');
  await own.clock.advance(1);
  expect(await response.ended()).toBe('cut');
});
