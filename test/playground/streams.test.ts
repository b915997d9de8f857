import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { chatBody, eventually, playgroundWith, postChat, sdkOf } from './fixture.ts';

describe('streams of the playground', () => {
  it('come at the configured pace', async () => {
    const clock = new FakeClock();
    const playground = await playgroundWith({ stream: { tokens: 3, interval: '10ms' } }, clock);
    const stream = await sdkOf(playground).chat.completions.create({ ...chatBody, stream: true });
    const chunks = stream[Symbol.asyncIterator]();
    const nextChoice = async (): Promise<ChatCompletionChunk.Choice | undefined> =>
      ((await chunks.next()) as IteratorYieldResult<ChatCompletionChunk>).value.choices[0];
    expect((await nextChoice())?.delta.role).toBe('assistant');
    expect((await nextChoice())?.delta.content).toBe('You');
    for (const token of [' said:', /whole/]) {
      const next = nextChoice();
      await clock.advance(9);
      expect(clock.pendingTimers).toBe(1);
      await clock.advance(1);
      expect((await next)?.delta.content).toMatch(token);
    }
    expect((await nextChoice())?.finish_reason).toBe('stop');
    expect(clock.pendingTimers).toBe(0);
  });

  it('stop at once when the client leaves, and leave no timer', async () => {
    const clock = new FakeClock();
    const playground = await playgroundWith({ stream: { interval: '10ms' } }, clock);
    const stream = await sdkOf(playground).chat.completions.create({ ...chatBody, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'You') break;
    await eventually(() => {
      expect(playground.stats()).toMatchObject({
        open: 0,
        endings: { abandoned: 1, answered: 0 },
        streams: { started: 1, open: 0, abandoned: 1, completed: 0 },
      });
    });
    expect(clock.pendingTimers).toBe(0);
  });

  it('are not begun for a client that leaves while its answer is late', async () => {
    const clock = new FakeClock();
    const playground = await playgroundWith({ faults: { slowRatio: 1 } }, clock);
    const leaving = new AbortController();
    const answer = postChat(playground, { stream: true, signal: leaving.signal });
    await eventually(() => {
      expect(clock.pendingTimers).toBe(1);
    });
    leaving.abort();
    await expect(answer).rejects.toThrow();
    await eventually(() => {
      expect(playground.stats()).toMatchObject({
        endings: { abandoned: 1 },
        streams: { started: 0, abandoned: 0 },
      });
    });
    expect(clock.pendingTimers).toBe(0);
  });

  it('stop for a client that leaves without having read', async () => {
    const playground = await playgroundWith({ stream: { tokens: 10_000 } });
    const response = await postChat(playground, { model: '語'.repeat(256), stream: true });
    await response.body?.cancel();
    await eventually(() => {
      expect(playground.stats()).toMatchObject({ open: 0, streams: { abandoned: 1, completed: 0 } });
    });
  });

  it('run side by side without holding each other up', async () => {
    const playground = await playgroundWith({ stream: { tokens: 5, interval: '2ms' } }, systemClock);
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => (await postChat(playground, { stream: true })).text()),
    );
    expect(answers.every((answer) => answer.endsWith('data: [DONE]\n\n'))).toBe(true);
    await eventually(() => {
      expect(playground.stats().streams).toMatchObject({ started: 20, completed: 20, open: 0 });
    });
  });
});
