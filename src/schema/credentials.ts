/** What an operator says of the credentials for an upstream: one value, or several that are used in turn. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { headerName, headerValue, positiveCount, positiveDuration, secret } from './scalars.ts';

const keyValue = secret(headerValue.min(1));

const keySchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,62}$/, {
      error: 'expected a name of letters, digits, ".", "_" and "-"',
    })
    .optional()
    .describe('Its name in logs, metrics and the admin plane. Default: key- and its place in the list.'),
  value: keyValue.describe('Its value. Never printed.'),
  weight: positiveCount.max(1_000).default(1).describe('Its share of the calls, beside those of the others.'),
});

const coolDownSchema = z
  .strictObject({
    initial: positiveDuration
      .prefault('1s')
      .describe('First rest where the upstream names no time; it doubles with each one in a row.'),
    max: positiveDuration.prefault('1m').describe('No such rest is longer, but for a tenth of jitter.'),
    maxRetryAfter: positiveDuration.prefault('1h').describe('Longest rest that the upstream can ask for.'),
  })
  .prefault({})
  .describe('How long a key rests that was throttled. A lone key never rests.');

/** The three forms of which one is given. */
interface Written {
  readonly value?: string | undefined;
  readonly values?: readonly string[] | undefined;
  readonly keys?:
    | readonly { readonly name?: string | undefined; readonly value: string; readonly weight: number }[]
    | undefined;
}

/** One credential. */
export interface Key {
  readonly name: string;
  /** Digest of the value: stands for it without being it. */
  readonly id: string;
  readonly value: string;
  readonly weight: number;
}

/** All forms as one list. */
export function keysOf({ value, values, keys }: Written): Key[] {
  const plain = values ?? (value === undefined ? [] : [value]);
  const listed = keys ?? plain.map((one) => ({ name: undefined, value: one, weight: 1 }));
  return listed.map(({ name, value: text, weight }, index) => ({
    name: name ?? `key-${index + 1}`,
    id: createHash('sha256').update(text).digest('hex'),
    value: text,
    weight,
  }));
}

const haveNamesThatDiffer = (written: Written): boolean => {
  const names = keysOf(written).map(({ name }) => name);
  return new Set(names).size === names.length;
};

export const credentialsSchema = z
  .strictObject({
    header: headerName.default('authorization').describe('Field that carries the credential.'),
    value: keyValue
      .optional()
      .describe('Its value, such as "Bearer ${file:/run/secrets/key}". Never printed.'),
    // Marked as a whole, too: what a mistyped list holds must not be printed either.
    values: secret(z.array(keyValue).min(1))
      .optional()
      .describe('Several values, used in turn; their names are key-1, key-2 and so on. Never printed.'),
    keys: z.array(keySchema).min(1).optional().describe('Several values with names of your own.'),
    coolDown: coolDownSchema,
    retryOutAfter: z
      .union([z.literal(false), positiveDuration])
      .prefault('15m')
      .describe(
        'How long a key is out that was not accepted, until one call tries it again. `false`: until its value changes or an operator resets it.',
      ),
    shared: z
      .boolean()
      .default(true)
      .describe(
        'Tell other sidecars which keys cool down and for how long, and heed what they tell: through state.redis, where that is set.',
      ),
  })
  .refine(
    ({ value, values, keys }) => [value, values, keys].filter((one) => one !== undefined).length === 1,
    {
      error: 'expected exactly one of value, values and keys',
    },
  )
  .refine(haveNamesThatDiffer, { error: 'expected keys with names that differ' })
  .describe('Credentials to send to this upstream. Credentials that the client sent are removed.');

export type CredentialsOptions = z.output<typeof credentialsSchema>;

/** Keys whose value is that of an earlier one: they add nothing. */
export function repeatedKeys(written: Written): { readonly name: string; readonly first: string }[] {
  const keys = keysOf(written);
  return keys.flatMap(({ name, id }) => {
    const first = keys.find((key) => key.id === id);
    return first && first.name !== name ? [{ name, first: first.name }] : [];
  });
}
