import { describe, expect, it } from 'vitest';
import { messageIn } from '../../src/algorithms/error-message.ts';

describe('messageIn', () => {
  it.each<[string, unknown]>([
    ['OpenAI, Anthropic and Gemini', { error: { message: 'it says so' } }],
    ['a failed response', { response: { error: { message: 'it says so' } } }],
    ['Mistral and older vLLM', { object: 'error', message: 'it says so' }],
    ['Ollama', { error: 'it says so' }],
    ['FastAPI', { detail: 'it says so' }],
    ['Gemini in a list', [{ error: { message: 'it says so' } }]],
  ])('finds it where %s put it', (_, json) => {
    expect(messageIn(json)).toBe('it says so');
  });

  it.each([undefined, null, 'text', 7, {}, { error: {} }, { message: '' }, { message: { text: 'x' } }])(
    'finds nothing in %j',
    (json) => {
      expect(messageIn(json)).toBeUndefined();
    },
  );

  it('cuts long ones: prompts have been found there', () => {
    expect(messageIn({ message: 'x'.repeat(50_000) })).toBe('x'.repeat(16_384));
  });
});
