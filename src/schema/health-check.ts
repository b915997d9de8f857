/** How endpoints are asked whether they are well. */
import { z } from 'zod';
import {
  duration,
  headerName,
  headerValue,
  positiveCount,
  positiveDuration,
  ratio,
  secret,
  size,
} from './scalars.ts';
import { statusRange } from './status.ts';

const pattern = z.string().min(1).refine(isPattern, { error: 'expected a regular expression' });

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, 'i') instanceof RegExp;
  } catch {
    return false;
  }
}

/** Fields that say how a message is framed or what becomes of its connection: they are the client's own. */
const OWN_FIELDS =
  /^(connection|content-length|expect|host|keep-alive|te|trailer|transfer-encoding|upgrade)$/i;

const bodySchema = z
  .strictObject({
    contains: z.string().min(1).optional().describe('A text that must be there.'),
    matches: pattern
      .optional()
      .describe('A regular expression that must fit, unanchored; case does not matter.'),
    within: size
      .refine((bytes) => bytes > 0 && bytes <= 2 ** 20, { error: 'expected a size from "1B" to "1MiB"' })
      .prefault('16KiB')
      .describe('How much of the body is looked at, from its start; the rest is not read. At most 1MiB.'),
  })
  .refine(({ contains, matches }) => contains !== undefined || matches !== undefined, {
    error: 'expected contains, matches or both',
  })
  .describe('What the body must hold. Without it, the body is not read.');

const degradedSchema = z
  .strictObject({
    status: z.array(statusRange).min(1).optional().describe('Statuses; they need not be expected ones.'),
    headers: z
      .record(headerName, pattern)
      .optional()
      .describe(
        'Response headers, any of which is there with a value that the regular expression fits: unanchored; case does not matter.',
      ),
  })
  .refine(({ status, headers }) => status !== undefined || headers !== undefined, {
    error: 'expected status, headers or both',
  })
  .describe('What tells that an endpoint is not quite well: it is asked when no other is there.');

const httpSchema = z
  .strictObject({
    path: z
      .string()
      .regex(/^\/[\x21\x22\x24-\x7e]*$/, { error: 'expected a path such as "/healthz"' })
      .describe(
        'Path and query, from the root of the server: a base path of the endpoint is not put before.',
      ),
    method: z
      .enum(['GET', 'HEAD', 'OPTIONS', 'POST'])
      .default('GET')
      .describe('Request method. POST needs `mayCost`.'),
    headers: z
      .record(headerName, secret(headerValue))
      .refine((fields) => !Object.keys(fields).some((name) => OWN_FIELDS.test(name)), {
        error: 'expected headers other than those of the connection; for Host there is `host`',
      })
      .default({})
      .describe(
        'Request headers. Credentials of the upstream are not sent, unless they are written here. Values are never printed.',
      ),
    host: headerValue.min(1).optional().describe('Host header. Default: the host of the endpoint.'),
    status: z.array(statusRange).min(1).default(['2xx']).describe('Statuses that are expected.'),
    body: bodySchema.optional(),
    degraded: degradedSchema.optional(),
  })
  .describe('Asks over HTTP. Redirects are not followed.');

const KINDS = ['http', 'tcp', 'tls'] as const;

export const healthCheckSchema = z
  .strictObject({
    http: httpSchema.optional(),
    tcp: z.strictObject({}).optional().describe('Connects: `{}`.'),
    tls: z
      .strictObject({})
      .optional()
      .describe('Connects and checks the certificate, as `tls` of the upstream says: `{}`.'),
    port: positiveCount
      .max(65_535)
      .optional()
      .describe('Another port of the same hosts. Default: that of the endpoint.'),
    interval: positiveDuration.prefault('10s').describe('Pause between two checks of an endpoint.'),
    fastInterval: positiveDuration
      .prefault('1s')
      .describe(
        'The same while the next check may change what is thought of it; where it is above interval, interval counts.',
      ),
    jitter: ratio
      .default(0.2)
      .describe(
        'Share of a pause by which it is longer or shorter at most, so that checks do not go in step.',
      ),
    timeout: positiveDuration.prefault('5s').describe('Time that a check has; then it failed.'),
    rise: positiveCount
      .max(100)
      .default(2)
      .describe(
        'Successes in a row that bring an unhealthy endpoint back. One that has just come needs one.',
      ),
    fall: positiveCount.max(100).default(3).describe('Failures in a row that make an endpoint unhealthy.'),
    startGrace: duration
      .prefault('30s')
      .describe('How long failures of an endpoint that has just come do not make it unhealthy.'),
    concurrency: positiveCount
      .max(1_000)
      .default(10)
      .describe('Checks of this upstream at a time; others wait for their turn.'),
    mayCost: z
      .boolean()
      .default(false)
      .describe('Your word that checks may cost money or have an effect: needed where they might.'),
  })
  .refine((one) => KINDS.filter((kind) => one[kind] !== undefined).length === 1, {
    error: 'expected exactly one of http, tcp and tls',
  })
  .describe('Asks each endpoint again and again whether it is well. Off by default.');

export type HealthCheckOptions = z.output<typeof healthCheckSchema>;
export type HttpCheckOptions = z.output<typeof httpSchema>;
