/** Every answer that the commit gate reads is told once, with the reason where it was for nothing. */
import { describe, expect, it } from 'vitest';
import { BodyEnd } from '../../src/core/body-end.ts';
import type { Attempt } from '../../src/core/exchange.ts';
import type { BodySink, Completion, Outcome, ResponseBody } from '../../src/core/outcome.ts';
import { openai } from '../../src/dialects/openai.ts';
import { commitGate } from '../../src/policies/commit-gate.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { CollectingSink, attemptAt, exchangeAt, kit, respond } from '../support/policy-kit.ts';
import { settle } from '../support/fake-clock.ts';

/** An upstream's body, fed by hand. */
class FedBody extends BodyEnd implements ResponseBody {
  #sink: BodySink | undefined;

  pipe(sink: BodySink): void {
    this.#sink = sink;
  }

  feed(text: string): this {
    this.#sink?.write(Buffer.from(text));
    return this;
  }

  finish(end: Completion['end'], reason?: Completion['reason']): void {
    const completion = { end, bytes: 1, ...(reason && { reason }) };
    if (end === 'complete') this.#sink?.end([]);
    else this.#sink?.abort(completion);
    this.settleEnd(completion);
  }

  resume(): void {
    // Nothing is held back here.
  }

  discard(): void {
    this.finish('discarded');
  }
}

const word = eventText(JSON.stringify({ model: 'm', choices: [{ index: 0, delta: { content: 'w' } }] }));
const preamble = eventText(
  JSON.stringify({ model: 'm', choices: [], usage: { prompt_tokens: 7, completion_tokens: 0 } }),
);
const whole = JSON.stringify({
  model: 'm',
  choices: [{}],
  usage: { prompt_tokens: 7, completion_tokens: 1 },
});

async function rig(contentType: string, status = 200) {
  const { clock, deps, events } = kit();
  const gate = commitGate.build(commitGate.schema.parse({}), deps, undefined);
  const request = { method: 'POST', target: '/v1/chat/completions' };
  const attempt = attemptAt(clock, exchangeAt(clock, { request, upstream: { dialect: openai } }));
  const body = new FedBody();
  const answer = respond(status, { headers: ['content-type', contentType], body });
  let outcome: Outcome | undefined;
  void gate.run(attempt, async () => answer, attempt.cancellation).then((one) => (outcome = one));
  await settle();
  const told = (): [Attempt['wasted'], number | undefined][] =>
    events.of('answer-read').map((event) => [event.attempt.wasted, event.attempt.answer?.usage?.input]);
  const pipe = async (): Promise<CollectingSink> => {
    await settle();
    const sink = new CollectingSink();
    if (outcome?.kind === 'response') outcome.body.pipe(sink);
    return sink;
  };
  const discard = async (): Promise<void> => {
    await settle();
    if (outcome?.kind === 'response') outcome.body.discard();
    await settle();
  };
  return { clock, body, told, pipe, discard, outcome: () => outcome };
}

const STREAM = 'text/event-stream';
const JSON_TYPE = 'application/json';

describe('a stream', () => {
  it.each([
    ['complete', undefined, undefined],
    ['upstream-aborted', 'response_incomplete', 'cut'],
    ['timed-out', 'idle_timeout', 'cut'],
    ['client-aborted', 'client_aborted', 'client-gone'],
    ['discarded', 'shutting_down', 'discarded'],
  ] as const)('that ends `%s` on its way is told once', async (end, reason, wasted) => {
    const { body, told, pipe } = await rig(STREAM);
    body.feed(preamble).feed(word);
    await pipe();
    expect(told()).toEqual([]);
    if (end === 'complete') body.feed(eventText('[DONE]'));
    body.finish(end, reason);
    await settle();
    expect(told()).toEqual([[wasted, 7]]);
  });

  it.each([
    ['upstream-aborted', 'response_incomplete', 'failed'],
    ['timed-out', 'first_token_timeout', 'failed'],
    ['client-aborted', 'client_aborted', 'client-gone'],
    ['discarded', 'superseded', 'discarded'],
  ] as const)('that ends `%s` before its first word is told once', async (end, reason, wasted) => {
    const { body, told, outcome } = await rig(STREAM);
    body.feed(preamble).finish(end, reason);
    await settle();
    expect(outcome()?.kind).toBe('failure');
    expect(told()).toEqual([[wasted, 7]]);
  });

  it('that turns out to be an error is told once, whatever comes after it', async () => {
    const { body, told } = await rig(STREAM);
    body.feed(preamble).feed(eventText('{"error":{"message":"no"}}')).feed(word).finish('complete');
    await settle();
    expect(told()).toEqual([['failed', 7]]);
  });

  it('that is thrown away after its first word is told once', async () => {
    const { body, told, discard } = await rig(STREAM);
    body.feed(preamble).feed(word);
    await discard();
    body.finish('discarded', 'superseded');
    await settle();
    expect(told()).toEqual([['discarded', 7]]);
  });

  it('that was whole before anybody took it is told when it is taken, or thrown away', async () => {
    for (const taken of [true, false]) {
      const { body, told, pipe, discard } = await rig(STREAM);
      body.feed(preamble).feed(word).feed(eventText('[DONE]')).finish('complete');
      await settle();
      expect(told()).toEqual([]);
      await (taken ? pipe() : discard());
      expect(told()).toEqual([[taken ? undefined : 'discarded', 7]]);
    }
  });
});

describe('a JSON answer', () => {
  it('that is whole is told once it was taken, or thrown away', async () => {
    for (const taken of [true, false]) {
      const { body, told, pipe, discard } = await rig(JSON_TYPE);
      body.feed(whole).finish('complete');
      await (taken ? pipe() : discard());
      expect(told()).toEqual([[taken ? undefined : 'discarded', 7]]);
    }
  });

  it.each([
    ['is cut', whole.slice(0, 30), 'upstream-aborted', 'response_incomplete', 'failed'],
    ['is left by its client', whole.slice(0, 30), 'client-aborted', 'client_aborted', 'client-gone'],
    ['is no JSON', 'oops', 'complete', undefined, 'failed'],
    ['is nothing', '', 'complete', undefined, 'failed'],
  ] as const)('that %s is told once, without tokens', async (_how, text, end, reason, wasted) => {
    const { body, told } = await rig(JSON_TYPE);
    body.feed(text).finish(end, reason);
    await settle();
    expect(told()).toEqual([[wasted, undefined]]);
  });

  it('that was not held to its end is told once, by what stands there', async () => {
    const { clock, body, told, pipe } = await rig(JSON_TYPE);
    body.feed(whole.slice(0, 30));
    await clock.advance(60_000);
    const sink = await pipe();
    body.feed(whole.slice(30)).finish('complete');
    expect([sink.text, told()]).toEqual([whole, [[undefined, 7]]]);
  });

  it('with an error status is told once, and has no tokens', async () => {
    const { body, told, pipe } = await rig(JSON_TYPE, 500);
    body.feed('{"error":{},"usage":{"prompt_tokens":1}}').finish('complete');
    await pipe();
    expect(told()).toEqual([[undefined, undefined]]);
  });
});
