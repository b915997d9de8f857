import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonTail } from '../../src/streams/json-tail.ts';

function membersOf(text: string, sizes: readonly number[] = []): Record<string, unknown> | undefined {
  const tail = new JsonTail();
  const bytes = Buffer.from(text, 'utf8');
  let from = 0;
  for (const size of sizes) {
    tail.push(bytes.subarray(from, from + size));
    from += size;
  }
  tail.push(bytes.subarray(from));
  return tail.members();
}

const usage = { prompt_tokens: 8, total_tokens: 8, details: { cached: [1, { a: '}"' }] } };
const vectors = JSON.stringify(Array.from({ length: 4_000 }, (_, n) => n / 7));

describe('the tail of a JSON answer', () => {
  it('has the usage and the model that stand at its end, however large it is', () => {
    const text = `{"object":"list","data":[{"embedding":${vectors}}],"model":"e-3","usage":${JSON.stringify(usage)}}\n`;
    expect(text.length).toBeGreaterThan(64_000);
    expect(membersOf(text)).toEqual({ model: 'e-3', usage });
  });

  it('is the same in whatever pieces the answer came', () => {
    const text = `{"x":${vectors},"model":"é","usage":${JSON.stringify(usage, null, 2)} }`;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30_000 }), { maxLength: 8 }), (sizes) => {
        expect(membersOf(text, sizes)).toEqual({ model: 'é', usage });
      }),
    );
  });

  it.each([
    ['a member of an inner object', '{"data":[{"usage":{"prompt_tokens":1}}],"n":1}'],
    ['a text that looks like one', String.raw`{"text":"\"usage\":{\"prompt_tokens\":1}"}`],
    ['a value that is no object', '{"usage":null}'],
    ['an object that does not end', '{"usage":{"prompt_tokens":1}'],
    ['something after the end', '{"usage":{"prompt_tokens":1}} {}'],
    ['nothing', ''],
  ])('does not take %s for it', (_what, text) => {
    expect(membersOf(text)).toBeUndefined();
  });

  it('prefers the outermost of several', () => {
    const text = '{"usage":{"prompt_tokens":5},"data":[{"usage":{"prompt_tokens":1}}]}';
    expect(membersOf(text)).toEqual({ usage: { prompt_tokens: 5 } });
  });

  it('never throws, and never finds what is not a member of the whole', () => {
    const key = fc.constantFrom('usage', 'model', 'data', '"usage":{', '\\', '}');
    const json = fc.letrec((tie) => ({
      value: fc.oneof(
        fc.string(),
        key,
        fc.integer(),
        fc.array(tie('value'), { maxLength: 3 }),
        tie('object'),
      ),
      object: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    })).object;
    fc.assert(
      fc.property(json, (value) => {
        const whole = value;
        for (const [name, found] of Object.entries(membersOf(JSON.stringify(whole)) ?? {}))
          expect(found).toEqual(whole[name]);
      }),
      { numRuns: 300 },
    );
  });
});
