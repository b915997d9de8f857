/** One request to all endpoints: within which bounds. */
import { z } from 'zod';
import { headerName, positiveCount, positiveDuration, size } from './scalars.ts';

const method = z
  .string()
  .toUpperCase()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Z-]+$/, { error: 'expected a method such as GET' });

export const broadcastSchema = z
  .strictObject({
    methods: z
      .array(method)
      .min(1)
      .default(['GET', 'HEAD'])
      .describe('Methods that may be sent to all. Whatever else is named here takes effect once at each.'),
    maxConcurrent: positiveCount
      .max(1_000)
      .default(10)
      .describe('Calls of one broadcast under way at a time.'),
    deadline: positiveDuration
      .prefault('30s')
      .describe('Time for all of them together; what has come by then is the answer.'),
    maxBody: size
      .prefault('64KiB')
      .describe('Most bytes of each answer that are kept; the rest is cut off, and the answer marked.'),
    maxInstances: positiveCount
      .max(10_000)
      .default(100)
      .describe('Most endpoints that one request is sent to.'),
    maxBroadcasts: positiveCount
      .max(1_000)
      .default(10)
      .describe(
        'Broadcasts under way at a time, until their answers are delivered; further ones are refused.',
      ),
    headers: z
      .array(headerName)
      .max(50)
      .default(['content-type'])
      .describe('Fields of each answer that are told.'),
  })
  .describe('`/_all/…` sends a request to every available endpoint and collects the answers.');

export type BroadcastOptions = z.output<typeof broadcastSchema>;
