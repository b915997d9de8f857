import { describe, expect, it } from 'vitest';
import { ModelCatalog, OTHER_MODEL, costOf } from '../../src/core/model-catalog.ts';
import type { ModelSettings } from '../../src/core/model-catalog.ts';

const catalog = (settings: Partial<ModelSettings>): ModelCatalog =>
  new ModelCatalog({ models: [], prices: {}, currency: 'USD', ...settings });

const price = (input: number) => ({ input, output: 2 * input });

describe('a model catalog', () => {
  it('labels a model with the configured name that fits, and every other one with `other`', () => {
    const one = catalog({ models: ['gpt-5', 'claude-*', '*/llama-*-instruct'] });
    const labels = [
      'gpt-5',
      'gpt-5-mini',
      'claude-opus-4-1',
      'meta/llama-4-70b-instruct',
      'meta/llama-4',
      '',
    ].map((model) => one.termsOf(model).label);
    expect(labels).toEqual(['gpt-5', 'other', 'claude-*', '*/llama-*-instruct', 'other', 'other']);
    expect(one.termsOf(undefined)).toBe(OTHER_MODEL);
  });

  it('prefers an exact name to a pattern, and a longer pattern to a shorter one', () => {
    const prices = { '*': price(9), 'gpt-*': price(1), 'gpt-5*': price(2), 'gpt-5': price(3) };
    const one = catalog({ prices });
    const found = ['gpt-5', 'gpt-5-mini', 'gpt-4o', 'o3'].map((model) => one.termsOf(model).price?.input);
    expect(found).toEqual([3, 2, 1, 9]);
  });

  it('takes the label and the price of a model from different names', () => {
    const one = catalog({ models: ['gpt-5-mini'], prices: { 'gpt-5*': price(2) } });
    expect(one.termsOf('gpt-5-mini')).toEqual({ label: 'gpt-5-mini', price: price(2) });
    expect(one.termsOf('gpt-5-nano')).toEqual({ label: 'gpt-5*', price: price(2) });
  });

  it('does not let the parts of a pattern overlap', () => {
    const one = catalog({ models: ['ab*ba', 'x*y*z'] });
    expect(['aba', 'abba', 'xz', 'xyz'].map((model) => one.termsOf(model).label)).toEqual([
      'other',
      'ab*ba',
      'other',
      'x*y*z',
    ]);
  });

  it('stays right when a provider invents more names than are remembered', () => {
    const one = catalog({ models: ['m-*'] });
    for (let n = 0; n < 1_000; n++) expect(one.termsOf(`m-${n}`).label).toBe('m-*');
    expect(one.termsOf('m'.repeat(10_000)).label).toBe('other');
  });

  it('takes names that every object has for what they are: unknown', () => {
    expect(catalog({ prices: { a: price(1) } }).termsOf('constructor')).toEqual(OTHER_MODEL);
  });
});

describe('the cost of tokens', () => {
  const usage = { input: 1_000_000, cached: 400_000, output: 100_000, reasoning: 60_000 };

  it('is by the million, cached tokens at their own price, reasoning as output', () => {
    expect(costOf(usage, { input: 1.25, cachedInput: 0.125, output: 10 })).toBeCloseTo(0.75 + 0.05 + 1, 12);
  });

  it('has cached tokens at the price of others where they have none of their own', () => {
    expect(costOf(usage, { input: 1, output: 0 })).toBeCloseTo(1, 12);
    expect(costOf(usage, { input: 1, cachedInput: 0, output: 0 })).toBeCloseTo(0.6, 12);
  });

  it('is never negative, whatever a provider counts', () => {
    expect(costOf({ ...usage, input: 10, cached: 1_000 }, { input: 1, output: 0 })).toBeCloseTo(1e-5, 12);
  });
});
