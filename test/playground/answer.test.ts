import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { composeAnswer, isWhole } from '../../src/playground/answer.ts';

const contentOf = (prompt: string, length: number, limit?: number): string =>
  composeAnswer(prompt, length, limit).tokens.join('');

describe('the answer of the playground', () => {
  it('echoes the words of the prompt', () => {
    expect(contentOf('what is an outrigger?', 12)).toMatch(/^You said: what is an outrigger\? /);
  });

  it('is the same for the same prompt and another for another', () => {
    expect(contentOf('a b', 10)).toBe(contentOf('a b', 10));
    expect(contentOf('a b', 10)).not.toBe(contentOf('a c', 10));
  });

  it('has exactly as many tokens as configured, whatever the prompt is', () => {
    const prompts = fc.string({ unit: 'binary', maxLength: 80 });
    fc.assert(
      fc.property(prompts, fc.integer({ min: 1, max: 60 }), (prompt, length) => {
        const { tokens, limited } = composeAnswer(prompt, length, undefined);
        expect([tokens.length, limited]).toEqual([length, false]);
      }),
    );
  });

  it('is shortened to the limit of the request and says so', () => {
    const answer = composeAnswer('one two three', 24, 4);
    expect(answer.tokens).toHaveLength(4);
    expect(answer.limited).toBe(true);
    expect(composeAnswer('one two three', 24, 100).limited).toBe(false);
  });

  it('shortens words that are longer than a token may be and leaves no half characters', () => {
    const [, , echoed = ''] = composeAnswer(`${'x'.repeat(31)}😀😀`, 8, undefined).tokens;
    expect(echoed.trim()).toHaveLength(32);
    expect(echoed.isWellFormed()).toBe(true);
  });
});

describe('isWhole', () => {
  it('accepts every answer of the playground, also the shortest, and none that was cut anywhere', () => {
    const prompts = fc.string({ unit: 'grapheme', maxLength: 120 });
    fc.assert(
      fc.property(prompts, fc.integer({ min: 1, max: 40 }), (prompt, length) => {
        const content = contentOf(prompt, length);
        const wholeAt: number[] = [];
        for (let end = 0; end <= content.length; end++) if (isWhole(content.slice(0, end))) wholeAt.push(end);
        expect(wholeAt).toEqual([content.length]);
      }),
    );
  });

  it('refuses an answer with a lost, doubled or swapped token', () => {
    const { tokens } = composeAnswer('red green blue', 12, undefined);
    expect(isWhole(tokens.toSpliced(3, 1).join(''))).toBe(false);
    expect(isWhole(tokens.toSpliced(3, 0, tokens[3] ?? '').join(''))).toBe(false);
    expect(isWhole([tokens[1], tokens[0], ...tokens.slice(2)].join(''))).toBe(false);
  });

  it('refuses an answer that quotes a whole answer and was cut right behind it', () => {
    const quoted = contentOf('hi', 4);
    const content = contentOf(quoted, 24);
    const cutBehindQuote = content.slice(0, content.indexOf(quoted) + quoted.length);
    expect(cutBehindQuote).toMatch(/\[whole:[0-9a-f]{8}\]$/);
    expect(isWhole(cutBehindQuote)).toBe(false);
  });

  it('refuses other text', () => {
    for (const text of ['', 'hello', '[whole:12345678]', 'You said: [whole:00000000]'])
      expect(isWhole(text)).toBe(false);
  });
});
