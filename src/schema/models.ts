/** The sections that name models: which of them metrics tell apart, and what their tokens cost. */
import { z } from 'zod';

/** Every name may become a label of several metrics. */
const MAX_NAMES = 100;

const modelName = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, { error: 'expected the name of a model, such as "gpt-5-mini" or "gpt-5*"' });

const price = z.number().min(0);

export const modelNames = z
  .array(modelName)
  .max(MAX_NAMES)
  .default([])
  .describe(
    'Models that metrics tell apart; `*` stands for any characters. The names in prices count, too; every other model is `other`.',
  );

export const modelPrices = z
  .record(
    modelName,
    z.strictObject({
      input: price.describe('Price of a million prompt tokens.'),
      cachedInput: price
        .optional()
        .describe('Price of a million prompt tokens that the provider had in its cache. Default: as input.'),
      output: price.describe('Price of a million generated tokens, reasoning included.'),
    }),
  )
  .refine((prices) => Object.keys(prices).length <= MAX_NAMES, {
    error: `expected at most ${MAX_NAMES} models`,
  })
  .default({})
  .describe('What models cost, by name; `*` stands for any characters, and the longest name that fits wins.');

export const currency = z
  .string()
  .regex(/^[A-Z]{3}$/, { error: 'expected a currency code such as "USD"' })
  .default('USD')
  .describe('Currency of all prices: a label on costs, nothing is converted.');
