/** What an operator says of answers that are kept for others who ask the same. */
import { z } from 'zod';
import { duration, headerName, positiveCount, positiveDuration, size } from './scalars.ts';

const off = z.literal(false);

const getSchema = z
  .strictObject({
    ttl: positiveDuration
      .optional()
      .describe('How long an answer is fresh that does not say so itself. Default: it never is.'),
    override: z
      .boolean()
      .default(false)
      .describe('`ttl` counts whatever answers say of their time. What they forbid to store is not stored.'),
  })
  .refine(({ ttl, override }) => !override || ttl !== undefined, {
    error: 'expected a ttl for answers to be overridden by',
  });

const ttl = positiveDuration.describe('How long an answer is fresh.');

/** Fields by which providers tell accounts, versions and features apart. */
const MODEL_HEADERS = [
  'anthropic-beta',
  'anthropic-version',
  'openai-beta',
  'openai-organization',
  'openai-project',
  'x-goog-user-project',
];

const modelsSchema = z.strictObject({
  ttl,
  headers: z
    .array(headerName.toLowerCase())
    .default(MODEL_HEADERS)
    .describe('Request fields on which answers depend; a call with other values is another call.'),
});

const postSchema = z.strictObject({
  path: z
    .string()
    .startsWith('/')
    .max(256)
    .describe('Path without its query; `*` stands for any characters.'),
  ttl,
  headers: z
    .array(headerName.toLowerCase())
    .default([])
    .describe('Request fields on which answers depend, beside those named in Vary.'),
});

const coalesceSchema = z.strictObject({
  maxJoiners: positiveCount
    .default(100)
    .describe('Most requests that wait for one exchange besides its first.'),
});

export const cacheSchema = z
  .strictObject({
    get: z
      .union([off, getSchema])
      .prefault({})
      .describe('Answers to GET and HEAD, as RFC 9111 allows. `false`: none.'),
    models: z
      .union([off, modelsSchema])
      .prefault(false)
      .describe(
        'Answers of models, which the dialect knows to be computed: your word that they may be repeated.',
      ),
    post: z
      .array(postSchema)
      .prefault([])
      .describe('Answers to other POSTs: your word that they only read. The first path that fits decides.'),
    perAgent: z.boolean().default(false).describe('Agents share nothing, whatever credential they have.'),
    staleWhileRevalidate: duration
      .prefault('0s')
      .describe('Time past its freshness for which an answer is used while a new one is fetched.'),
    staleIfError: duration
      .prefault('0s')
      .describe('Time past its freshness for which an answer is used when the upstream fails.'),
    keepStale: duration
      .prefault('1h')
      .describe('Time past its freshness for which an answer is kept: to be validated, or for a ladder.'),
    coalesce: z
      .union([off, coalesceSchema])
      .prefault({})
      .describe('Requests that ask the same at the same time share one exchange. `false`: never.'),
    maxBytes: size
      .prefault('64MiB')
      .describe('Memory for answers; those on their way may take as much again. 0B: none is kept.'),
    maxEntryBytes: size.prefault('1MiB').describe('Largest answer that is kept, or shared.'),
    shared: z
      .boolean()
      .default(true)
      .describe('Shared with other sidecars through state.redis, where that is set.'),
  })
  .describe('Keeps answers for others who ask the same, and lets those who ask at the same time share one.');

export type CacheOptions = z.output<typeof cacheSchema>;
