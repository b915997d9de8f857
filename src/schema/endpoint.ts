/** An endpoint as it is written down: in the configuration, in a file of endpoints, under a key. */
import { z } from 'zod';
import { REPORTED_STATUSES } from '../core/endpoint.ts';
import { savedInstant } from './saved.ts';
import { count } from './scalars.ts';

export const endpointUrl = z
  .url({
    protocol: /^https?$/,
    error: 'expected an http or https URL such as "https://api.example.com" or "http://127.0.0.1:9000/base"',
  })
  .refine((text) => !/[?#]/.test(text), { error: 'expected a URL without query and fragment' })
  .refine((text) => !/^https?:\/\/[^/]*@/.test(text), {
    error: 'expected a URL without user and password; use credentials',
  })
  .describe('Address: scheme, host, port and, where the upstream has one, a base path.');

export const endpointSchema = z.strictObject({
  url: endpointUrl,
  weight: z
    .number()
    .min(0)
    .max(1_000)
    .default(1)
    .describe('Share of the traffic relative to the others’. 0: none, unless nothing else is left.'),
  priority: count
    .max(100)
    .default(0)
    .describe('0 is asked first, 1 while none of 0 is available, and so on.'),
  zone: z.string().min(1).max(100).optional().describe('Where it stands.'),
  metadata: z
    .record(z.string(), z.string())
    .default({})
    .describe('What else is known of it, such as capabilities.'),
});

/** A name for Host fields, SNI and certificates. */
export const hostName = z
  .string()
  .regex(/^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/, { error: 'expected a host name' })
  .optional();

/** One that is found while the sidecar runs: how it is may be told with it. */
export const foundEndpointSchema = endpointSchema.extend({
  hostName: hostName.describe(
    'What it is called, where the URL has its address: for the Host field and the certificate. Default: the URL’s host.',
  ),
  instance: z.string().min(1).max(253).optional().describe('Id of the instance.'),
  status: z.enum(REPORTED_STATUSES).default('up').describe('How it is.'),
});

/** More than are kept. */
const MAX_DECISIONS = 20_000;

/** What is kept of operators' decisions on endpoints for the next process. */
export const savedDecisionsSchema = z.object({
  decisions: z
    .array(
      z.object({
        /** Digest of what tells the endpoint from others. */
        id: z.string(),
        /** What it was called, for operators. */
        name: z.string().max(2_000).optional(),
        decision: z.enum(['draining', 'disabled']),
        /** Null: it was listed. */
        until: savedInstant,
      }),
    )
    .max(MAX_DECISIONS),
});
