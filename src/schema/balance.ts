/** How calls are spread over the endpoints of an upstream. */
import { z } from 'zod';
import { count, duration, ratio, size } from './scalars.ts';

export const ALGORITHMS = [
  'weighted-round-robin',
  'round-robin',
  'random',
  'weighted-random',
  'least-request',
  'peak-ewma',
] as const;

/** What keeps calls together: a word, or a word and where to look. */
const affinityKey = z
  .string()
  .regex(
    /^(session|prompt|agent|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|cookie:[!#$%&'*+.^_`|~0-9A-Za-z-]+|path:[0-9]{1,2})$/,
    {
      error:
        'expected session, prompt, agent, header:<name>, cookie:<name> or path:<number of the segment, from 0>',
    },
  );

const affinitySchema = z
  .strictObject({
    by: z
      .array(affinityKey)
      .min(1)
      .describe(
        'What keeps calls together; the first that a call has. `session`: the protocol’s own. `prompt`: the model and how the prompt begins, for caches of prompts. `agent`, `header:<name>`, `cookie:<name>`, `path:<segment>`.',
      ),
    prefix: size
      .prefault('4KiB')
      .describe(
        'How much of the beginning of a prompt counts. Prompts that differ further on stay together.',
      ),
    maxLoad: z
      .union([z.literal(false), z.number().min(1.01).max(100)])
      .default(1.5)
      .describe(
        'What staying may cost: an endpoint with this many times its share of the calls under way passes calls on to the next. `false`: nothing makes a call leave but an endpoint that is not available.',
      ),
  })
  .describe('Calls that belong together go to the same endpoint.');

export const balanceSchema = z
  .strictObject({
    algorithm: z
      .enum(ALGORITHMS)
      .default('weighted-round-robin')
      .describe('Who is next among those that may be asked and that nothing speaks for.'),
    affinity: affinitySchema.optional(),
    zone: z
      .strictObject({
        here: z.string().min(1).max(100).describe('The zone of this sidecar: its endpoints are preferred.'),
        maxActive: count
          .min(1)
          .default(50)
          .describe(
            'Calls under way per unit of weight, on average over the zone, from which on the other zones are asked, too.',
          ),
      })
      .optional()
      .describe('Endpoints nearby first.'),
    slowStart: z
      .strictObject({
        window: duration.prefault('0s').describe('Time until one that has just come has its full share.'),
        from: ratio.gt(0).default(0.1).describe('Share of its weight that it begins with.'),
      })
      .prefault({})
      .describe('Spares endpoints that have just become available.'),
    panicThreshold: ratio
      .default(0)
      .describe(
        'Share of the endpoints of one priority that must be available; with fewer all of them are used. 0: only when none is left.',
      ),
  })
  .prefault({})
  .describe('How calls are spread over endpoints.');

export type BalanceOptions = z.output<typeof balanceSchema>;
