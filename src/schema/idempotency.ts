/** The options of `policies.idempotency`. */
import { z } from 'zod';
import { count, duration, headerName, positiveCount, positiveDuration, size } from './scalars.ts';

export const idempotencySchema = z
  .strictObject({
    header: headerName.default('idempotency-key').describe('Request field that has the key.'),
    derive: z
      .union([z.literal(false), z.literal('body')])
      .default(false)
      .describe(
        'Where a request has no key: `body` makes one of agent, credential, method, target and body. `false`: it has none.',
      ),
    forward: z
      .enum(['sent', 'all', 'none'])
      .default('sent')
      .describe(
        'What the upstream gets: the keys that clients sent, derived ones too, or none. Only with a key that it gets is a call repeated.',
      ),
    required: z.boolean().default(false).describe('Refuse requests without a key.'),
    methods: z
      .array(z.enum(['POST', 'PATCH', 'PUT', 'DELETE']))
      .min(1)
      .default(['POST', 'PATCH'])
      .describe('Methods whose keys count.'),
    maxKeyLength: positiveCount.max(4_096).default(255).describe('Longest key, in characters.'),
    ttl: positiveDuration
      .prefault('24h')
      .describe(
        'How long a key is known, counted from its first request; a run that takes longer keeps it to its end.',
      ),
    finish: z
      .union([z.literal(false), positiveDuration])
      .prefault('5m')
      .describe(
        'How long a run goes on when its clients have left, within the deadline. `false`: it ends with the last of them.',
      ),
    maxUnattended: count.default(100).describe('Most runs that go on with nobody waiting.'),
    maxWait: duration
      .prefault('30s')
      .describe('Longest wait of a duplicate for the answer to begin, within its own deadline.'),
    maxWaiting: count.default(100).describe('Most duplicates that wait or read along at a time.'),
    unknown: z
      .enum(['report', 'run-again'])
      .default('report')
      .describe(
        'What a duplicate gets where nobody knows whether the first took effect: word of that, or a run.',
      ),
    maxEntries: positiveCount
      .default(10_000)
      .describe('Most keys that this process knows. Beyond it, the oldest are forgotten.'),
    maxBytes: size
      .prefault('64MiB')
      .describe('Most bytes of keys and answers that this process keeps, and once more of calls under way.'),
    maxEntryBytes: size
      .prefault('1MiB')
      .describe('Largest answer that is kept and can be joined. Larger ones are delivered and not kept.'),
    shared: z
      .boolean()
      .default(true)
      .describe('Shared with other sidecars through `state.redis`, where that is set.'),
    whenAway: z
      .enum(['run', 'refuse'])
      .default('run')
      .describe(
        'What to do with a new key while Redis is away: run the call, known to this process alone, or refuse it.',
      ),
    lease: positiveDuration
      .prefault('30s')
      .describe(
        'Where keys are shared: a sidecar that is silent this long is gone, and what it ran unknown.',
      ),
  })
  .refine(({ lease }) => lease >= 1_000, { error: 'expected a lease of at least 1s', path: ['lease'] })
  .describe('Runs requests with the same key once.');

export type IdempotencyOptions = z.output<typeof idempotencySchema>;
