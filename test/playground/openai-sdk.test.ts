import { describe, expect, it } from 'vitest';
import { isWhole } from '../../src/playground/answer.ts';
import { chatBody, collect, eventually, playgroundWith, sdkOf } from './fixture.ts';

describe('chat completions through the official SDK', () => {
  it('answers whole, with the model that was asked for and with usage', async () => {
    const playground = await playgroundWith({ stream: { tokens: 9 } });
    const completion = await sdkOf(playground).chat.completions.create({ ...chatBody, model: 'any-name' });
    const [choice] = completion.choices;
    expect(completion).toMatchObject({ object: 'chat.completion', model: 'any-name' });
    expect(choice).toMatchObject({ finish_reason: 'stop', message: { role: 'assistant' } });
    expect(choice?.message.content).toMatch(/^You said: hello there /);
    expect(isWhole(choice?.message.content ?? '')).toBe(true);
    expect(completion.usage).toEqual({ prompt_tokens: 3, completion_tokens: 9, total_tokens: 12 });
  });

  it('streams role, tokens, finish reason and, where asked for, usage', async () => {
    const playground = await playgroundWith({ stream: { tokens: 6 } });
    const stream = await sdkOf(playground).chat.completions.create({
      ...chatBody,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await collect(stream);
    expect(chunks.map((chunk) => chunk.choices[0]?.finish_reason)).toEqual([
      ...Array<null>(7).fill(null),
      'stop',
      undefined,
    ]);
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(isWhole(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''))).toBe(true);
    expect(chunks.at(-1)?.usage).toMatchObject({ completion_tokens: 6 });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    await eventually(() => {
      expect(playground.stats().streams).toMatchObject({ started: 1, completed: 1, open: 0 });
    });
  });

  it('sends no usage where it was not asked for', async () => {
    const playground = await playgroundWith();
    const stream = await sdkOf(playground).chat.completions.create({ ...chatBody, stream: true });
    for await (const chunk of stream) {
      expect(chunk.usage).toBeUndefined();
      expect(chunk.choices).toHaveLength(1);
    }
  });

  it('satisfies the streaming helper, which insists on a finish reason', async () => {
    const playground = await playgroundWith();
    const completion = await sdkOf(playground).chat.completions.stream(chatBody).finalChatCompletion();
    expect(isWhole(completion.choices[0]?.message.content ?? '')).toBe(true);
  });

  it.each(['max_tokens', 'max_completion_tokens'])('obeys %s and says that it did', async (field) => {
    const playground = await playgroundWith();
    const completion = await sdkOf(playground).chat.completions.create({ ...chatBody, [field]: 5 });
    expect(completion.choices[0]?.finish_reason).toBe('length');
    expect(completion.usage?.completion_tokens).toBe(5);
    expect(isWhole(completion.choices[0]?.message.content ?? '')).toBe(true);
  });

  it('echoes the last message of the user, in parts too', async () => {
    const playground = await playgroundWith();
    const completion = await sdkOf(playground).chat.completions.create({
      model: 'm',
      messages: [
        { role: 'user', content: 'first' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'look' },
            { type: 'image_url', image_url: { url: 'data:,' } },
            { type: 'text', text: 'here' },
          ],
        },
        { role: 'assistant', content: 'hm' },
      ],
    });
    expect(completion.choices[0]?.message.content).toMatch(/^You said: look here /);
  });
});

describe('responses through the official SDK', () => {
  it('answers whole, with output text and usage', async () => {
    const playground = await playgroundWith({ stream: { tokens: 9 } });
    const response = await sdkOf(playground).responses.create({ model: 'any-name', input: 'hello there' });
    expect(response).toMatchObject({ status: 'completed', model: 'any-name', error: null });
    expect(response.output_text).toMatch(/^You said: hello there /);
    expect(isWhole(response.output_text)).toBe(true);
    expect(response.usage).toMatchObject({ input_tokens: 3, output_tokens: 9, total_tokens: 12 });
  });

  it('streams named events whose numbers leave no gap, up to the completed response', async () => {
    const playground = await playgroundWith({ stream: { tokens: 5 } });
    const stream = await sdkOf(playground).responses.create({ model: 'm', input: 'hello', stream: true });
    const events = await collect(stream);
    expect(events.map(({ type }) => type)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      ...Array<string>(5).fill('response.output_text.delta'),
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
  });

  it('satisfies the streaming helper, which rebuilds the response from the events', async () => {
    const playground = await playgroundWith();
    const input = [{ role: 'user' as const, content: [{ type: 'input_text' as const, text: 'rebuild me' }] }];
    const response = await sdkOf(playground).responses.stream({ model: 'm', input }).finalResponse();
    expect(response.status).toBe('completed');
    expect(response.output_text).toMatch(/^You said: rebuild me /);
    expect(isWhole(response.output_text)).toBe(true);
  });

  it('is incomplete where max_output_tokens limits it, streamed or not', async () => {
    const responses = sdkOf(await playgroundWith()).responses;
    const request = { model: 'm', input: 'hello', max_output_tokens: 4 };
    for (const response of [
      await responses.create(request),
      await responses.stream(request).finalResponse(),
    ]) {
      expect(response.status).toBe('incomplete');
      expect(response.incomplete_details).toEqual({ reason: 'max_output_tokens' });
      expect(response.usage?.output_tokens).toBe(4);
    }
  });
});

describe('embeddings and models through the official SDK', () => {
  it('gives every input a unit vector, the same one each time, in both encodings', async () => {
    const { embeddings } = sdkOf(await playgroundWith());
    const request = { model: 'm', input: ['cat', 'dog', 'cat'] };
    const asBase64 = await embeddings.create(request);
    const asFloats = await embeddings.create({ ...request, encoding_format: 'float' });
    const [cat, dog, sameCat] = asBase64.data.map(({ embedding }) => embedding);
    expect(asFloats.data.map(({ embedding }) => embedding)).toEqual([cat, dog, cat]);
    expect(sameCat).toEqual(cat);
    expect(dog).not.toEqual(cat);
    expect(Math.hypot(...(cat ?? []))).toBeCloseTo(1, 5);
    expect(asBase64.usage).toEqual({ prompt_tokens: 3, total_tokens: 3 });
  });

  it('obeys dimensions, and takes a list of token ids for one input', async () => {
    const { embeddings } = sdkOf(await playgroundWith());
    const one = await embeddings.create({ model: 'm', input: [1, 2, 3], dimensions: 4 });
    const two = await embeddings.create({ model: 'm', input: [[1, 2, 3], [4]], dimensions: 4 });
    expect(one.data.map(({ embedding }) => embedding.length)).toEqual([4]);
    expect(two.data[0]?.embedding).toEqual(one.data[0]?.embedding);
    expect(two.data).toHaveLength(2);
  });

  it('lists models', async () => {
    const models = await collect(sdkOf(await playgroundWith()).models.list());
    expect(models.map(({ id }) => id)).toContain('playground-small');
  });
});
