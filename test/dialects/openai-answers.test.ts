import { describe, expect, it } from 'vitest';
import {
  CHAT_JSON,
  PATHS,
  RESPONSE_JSON,
  STREAMS,
  chatChunk,
  operationOf,
  response,
  responseEvent,
  usageChunk,
} from '../support/openai-fixtures.ts';
import type { StreamName } from '../support/openai-fixtures.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { readJson, readStream } from './openai-rig.ts';

const { chat, completion, responses } = PATHS;
const streamOf = (...data: readonly string[]): string => data.map((one) => eventText(one)).join('');
const signalsOf = (...data: readonly string[]): string[] => readStream(chat, streamOf(...data)).signals;

describe('streams', () => {
  it.each(Object.keys(STREAMS) as StreamName[])(
    '%s: begins with its first word, and ends with its end',
    (name) => {
      const { signals, facts, hasTerminator } = readStream(PATHS[operationOf(name)], STREAMS[name]);
      expect(hasTerminator).toBe(true);
      expect(signals.at(-1)).toBe('end');
      expect(signals.filter((signal) => signal === 'end')).toHaveLength(1);
      expect(signals).not.toContain('malformed');
      expect(facts.model).toBe(name === 'completion' ? 'm' : 'gpt-test-2026');
      expect(facts.finishReason).toMatch(/^(stop|tool_calls|length|completed)$/);
    },
  );

  it.each([
    ['a role', chatChunk({ role: 'assistant' })],
    ['a role with an empty text', chatChunk({ role: 'assistant', content: '' })],
    ['a role with nothing', chatChunk({ role: 'assistant', content: null, tool_calls: [], refusal: null })],
    [
      'Azure’s verdict on the prompt',
      JSON.stringify({ choices: [], prompt_filter_results: [{ prompt_index: 0 }] }),
    ],
    ['usage alone', usageChunk()],
    ['an error that is null', JSON.stringify({ error: null, choices: [] })],
  ])('%s is a preamble', (_, data) => {
    expect(signalsOf(data)).toEqual(['pass']);
  });

  it.each([
    ['text', chatChunk({ content: 'a' })],
    ['a space', chatChunk({ content: ' ' })],
    ['a refusal', chatChunk({ refusal: 'no' })],
    ['reasoning', chatChunk({ reasoning_content: 'hm' })],
    [
      'a tool call',
      chatChunk({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '' } }] }),
    ],
    ['an old function call', chatChunk({ function_call: { name: 'f' } })],
    ['audio', chatChunk({ audio: { id: 'a' } })],
    ['the end of a choice', chatChunk({}, {}, 'content_filter')],
    ['a chunk that calls itself by a type', chatChunk({ content: 'a' }, { type: 'chat.completion.chunk' })],
  ])('%s is content', (_, data) => {
    expect(signalsOf(data)).toEqual(['content']);
  });

  it.each([
    ['OpenRouter: before the answer', JSON.stringify({ error: { code: 429, message: 'm' } })],
    [
      'OpenRouter: within the answer',
      chatChunk({ content: '' }, { error: { code: 502, message: 'gone' } }, 'error'),
    ],
    [
      'OpenRouter: in the choice',
      JSON.stringify({ choices: [{ delta: {}, error: { code: 502, message: 'gone' } }] }),
    ],
    ['vLLM: as it used to be', JSON.stringify({ object: 'error', message: 'm', code: 400 })],
    ['Ollama', JSON.stringify({ error: 'out of memory' })],
  ])('%s: an error', (_, data) => {
    for (const before of [[], [chatChunk({ content: 'so far' })]]) {
      const { signals, error } = readStream(chat, streamOf(...before, data));
      expect(signals.at(-1)).toBe('error');
      expect(JSON.stringify(error)).toMatch(/error/);
    }
  });

  it('an event by the name of error is one, whatever is in it', () => {
    const { signals, error } = readStream(chat, eventText({ event: 'error', data: '{"message":"m"}' }));
    expect([signals, error]).toEqual([['error'], { message: 'm' }]);
  });

  it('clients do not raise a flat error, and must be told', () => {
    expect(readStream(chat, streamOf('{"object":"error","message":"m"}')).unheard).toBe(true);
    expect(readStream(chat, streamOf('{"error":{"message":"m"}}')).unheard).toBe(false);
  });

  it('words about errors within a text are text', () => {
    const texts = ['"error"', '{"error":{"code":1}}', '"usage":{', '[DONE]', '"finish_reason":"stop"'];
    const { signals, facts } = readStream(chat, streamOf(...texts.map((content) => chatChunk({ content }))));
    expect(signals).toEqual(['content', 'pass', 'pass', 'pass', 'pass']);
    expect([facts.usage, facts.finishReason]).toEqual([undefined, undefined]);
  });

  it.each(['', '{', '{"choices":', 'null', '[]', '7', '"text"'])('%j is malformed', (data) => {
    expect(signalsOf(data)).toEqual(['malformed']);
    expect(signalsOf(chatChunk({ content: 'a' }), data)).toEqual(['content', 'malformed']);
  });

  it('reads usage and finish reason although the text flows past', () => {
    const { facts } = readStream(chat, STREAMS['chat with usage']);
    expect(facts).toMatchObject({
      finishReason: 'stop',
      usage: { input: 20, cached: 16, output: 7, reasoning: 2 },
    });
  });

  it.each([
    [
      'Groq',
      { x_groq: { usage: { prompt_tokens: 3, completion_tokens: 4 } } },
      { input: 3, output: 4, cached: 0 },
    ],
    [
      'DeepSeek',
      { usage: { prompt_tokens: 9, completion_tokens: 1, prompt_cache_hit_tokens: 8 } },
      { input: 9, output: 1, cached: 8 },
    ],
    [
      'vLLM, in every chunk',
      { usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } },
      { input: 5, output: 2 },
    ],
  ])('reads the usage of %s', (_, more, usage) => {
    const last = chatChunk({}, more, 'stop');
    expect(readStream(chat, streamOf(chatChunk({ content: 'a' }), last)).facts.usage).toMatchObject(usage);
  });

  it.each([{ prompt_tokens: -1, completion_tokens: 'many' }, { prompt_tokens: null }, 'none', null])(
    'makes nothing of a usage like %j',
    (usage) => {
      expect(readStream(chat, streamOf(chatChunk({}, { usage }, 'stop'))).facts.usage).toBeUndefined();
    },
  );

  it('reads a completion although nobody told it what was called', () => {
    const { signals, hasTerminator } = readStream('/v1/some/agent', STREAMS.chat);
    expect([signals.at(-1), hasTerminator]).toEqual(['end', true]);
  });

  it('does not know where streams of other kinds end', () => {
    const text = eventText({ data: '{"type":"image_generation.partial_image"}' });
    const { signals, hasTerminator } = readStream('/v1/images/edits', text);
    expect([signals, hasTerminator]).toEqual([['content'], false]);
  });
});

describe('Responses streams', () => {
  it('announcements are none of the answer', () => {
    const types = ['created', 'queued', 'in_progress', 'output_item.added', 'content_part.added'];
    const text = types.map((type) => responseEvent(`response.${type}`, response('in_progress'))).join('');
    const { signals } = readStream(responses, responseEvent('keepalive') + text);
    expect(new Set(signals)).toEqual(new Set(['pass']));
  });

  it.each(['output_text.delta', 'function_call_arguments.delta', 'refusal.delta', 'reasoning_text.delta'])(
    'response.%s is content',
    (type) => {
      expect(readStream(responses, responseEvent(`response.${type}`)).signals).toEqual(['content']);
    },
  );

  it('an answer that stops for length ends, too', () => {
    const { signals, facts } = readStream(
      responses,
      responseEvent('response.incomplete', response('incomplete')),
    );
    expect([signals, facts.finishReason]).toEqual([['end'], 'incomplete']);
  });

  it('a response that failed is an error of its own', () => {
    const failed = response('failed', { error: { code: 'server_error', message: 'm' } });
    const { signals, error, unheard } = readStream(responses, responseEvent('response.failed', failed));
    expect(signals).toEqual(['error']);
    expect(error).toMatchObject({ error: { code: 'server_error' } });
    expect(unheard).toBe(false);
  });

  it('an error event is an error', () => {
    const text = responseEvent('error', { code: 'rate_limit_exceeded', message: 'm', param: null });
    expect(readStream(responses, text).signals).toEqual(['error']);
  });

  it('an event too large to be read is known by its name', () => {
    const picture = 'x'.repeat(5 * 1024 * 1024);
    const text = responseEvent('response.completed', { response: { output: [picture] } });
    expect(readStream(responses, text).signals).toEqual(['end']);
  });

  it('reads usage where this API has it', () => {
    expect(readStream(responses, STREAMS.responses).facts.usage).toEqual({
      input: 11,
      cached: 4,
      output: 5,
      reasoning: 3,
    });
  });
});

describe('whole answers', () => {
  it('are answers, with model, usage and finish reason', () => {
    expect(readJson(chat, CHAT_JSON)).toMatchObject({
      kind: 'answer',
      facts: { model: 'gpt-test-2026', finishReason: 'stop', usage: { input: 20, output: 7 } },
    });
    expect(readJson(responses, RESPONSE_JSON)).toMatchObject({
      kind: 'answer',
      facts: { finishReason: 'completed', usage: { input: 11, cached: 4 } },
    });
  });

  it.each<[string, string, unknown, string]>([
    ['chat without choices', chat, { choices: [] }, 'empty'],
    ['chat without anything', chat, {}, 'empty'],
    ['null', chat, null, 'empty'],
    ['completion without choices', completion, { choices: [] }, 'empty'],
    ['embeddings without data', '/v1/embeddings', { data: [] }, 'empty'],
    ['embeddings', '/v1/embeddings', { data: [{ embedding: [] }] }, 'answer'],
    ['embeddings as Ollama has them', '/api/embeddings', { embeddings: [[1]] }, 'answer'],
    ['a response without output', responses, { status: 'completed', output: [] }, 'empty'],
    ['a response cut for length', responses, { status: 'incomplete', output: [] }, 'answer'],
    ['a job in the background', responses, { status: 'queued', output: [] }, 'answer'],
    ['a failed response', responses, { status: 'failed', output: [], error: { code: 'c' } }, 'error'],
    ['a failed response without a word', responses, { status: 'failed', output: [] }, 'error'],
    ['OpenRouter: an error', chat, { error: { code: 429, message: 'm' } }, 'error'],
    ['OpenRouter: an error in the choice', chat, { choices: [{ error: { code: 502 } }] }, 'error'],
    ['a flat error', chat, { object: 'error', message: 'm' }, 'error'],
    ['an error that is null', chat, { ...CHAT_JSON, error: null }, 'answer'],
    ['a list', chat, [], 'answer'],
    ['speech', '/v1/audio/speech', {}, 'answer'],
  ])('%s', (_, target, json, kind) => {
    expect(readJson(target, json).kind).toBe(kind);
  });
});
