/**
 * The whole configuration, assembled from the sections that the modules export. Everything else follows from it: static
 * types, validation, defaults, the published JSON Schema and the tables in the docs.
 */
import { z } from 'zod';
import { classifyRuleSchema } from '../endpoints/classify.ts';
import { DIALECT_NAMES } from '../dialects/index.ts';
import { a2aOptionsSchema } from '../dialects/a2a-options.ts';
import { mcpOptionsSchema } from '../dialects/mcp-options.ts';
import { ATTEMPT_POLICIES, EXCHANGE_POLICIES } from '../pipeline.ts';
import { discoverySchema } from '../discovery/index.ts';
import { balanceSchema } from '../schema/balance.ts';
import { broadcastSchema } from '../schema/broadcast.ts';
import { endpointSchema } from '../schema/endpoint.ts';
import { playgroundSchema } from '../playground/schema.ts';
import { agentSchema } from '../schema/agent.ts';
import { credentialsSchema } from '../schema/credentials.ts';
import { overridesSchema } from './override-section.ts';
import { PRESET_NAMES } from './presets.ts';
import { healthCheckSchema } from '../schema/health-check.ts';
import { scalingSchema } from '../schema/scaling.ts';
import { registrySchema } from '../schema/registry.ts';
import { stateSchema } from './state-section.ts';
import { sendToOneSchema } from '../schema/send-to-one.ts';
import { subsetSchema } from '../schema/subset.ts';
import { currency, modelNames, modelPrices } from '../schema/models.ts';
import {
  headerName,
  listenAddress,
  positiveCount,
  positiveDuration,
  secret,
  size,
} from '../schema/scalars.ts';
import { tlsOfListener, tlsTowards } from '../schema/tls.ts';

const off = z.literal(false);

/** One key per policy module. A policy that is on by default is switched off with `false`. */
const policyShape = Object.fromEntries(
  [...EXCHANGE_POLICIES, ...ATTEMPT_POLICIES]
    .filter(({ key }) => key !== 'credentials')
    .map(({ key, schema, onByDefault }) => {
      const option = z
        .union([off, schema])
        .meta({ description: `${schema.description ?? ''} \`false\` switches it off.` });
      return [key, onByDefault ? option.prefault({}) : option.optional()] as const;
    }),
);

const policies = z
  .strictObject(policyShape)
  .describe('Policies around every call, by name. Their order is fixed.');

/** What differs for some calls: only what is written here; the rest is as in `policies`. */
const overrides = overridesSchema(
  Object.fromEntries(
    [...EXCHANGE_POLICIES, ...ATTEMPT_POLICIES]
      .filter(({ key, forAllCalls }) => key !== 'credentials' && forAllCalls !== true)
      .map(({ key, schema }) => [key, z.union([off, schema]).optional()] as const),
  ),
);

/** Settings that `defaults` may give to every upstream. */
const sharedUpstreamShape = {
  preset: z
    .enum(PRESET_NAMES)
    .optional()
    .describe(
      'A dialect with endpoints and policies that suit it; everything written here or in defaults wins over it.',
    ),
  dialect: z
    .enum(DIALECT_NAMES)
    .default('generic')
    .describe(
      'Protocol of the upstream: what errors mean, where answers begin and end, how to tell clients.',
    ),
  models: modelNames,
  prices: modelPrices,
  mcp: mcpOptionsSchema.optional(),
  a2a: a2aOptionsSchema.optional(),
  credentials: z.union([off, credentialsSchema]).optional(),
  classify: z
    .array(classifyRuleSchema)
    .default([])
    .describe('What outcomes mean here; the first rule that fits decides.'),
  idempotent: z
    .union([z.boolean(), z.literal('compute')])
    .default(false)
    .describe(
      'Your word on sending a request twice. `true`: it does no harm here, POSTs are retried like GETs. `compute`: it does none but cost where the dialect knows that a call only computes something, such as a completion; it may then be billed twice.',
    ),
  balance: balanceSchema,
  scaling: z.union([off, scalingSchema]).optional(),
  healthCheck: z.union([off, healthCheckSchema]).optional(),
  subset: z.union([off, subsetSchema]).optional(),
  sendToOne: z.union([off, sendToOneSchema]).optional(),
  broadcast: z.union([off, broadcastSchema]).optional(),
  replayLimit: size
    .prefault('10MiB')
    .describe('Request bodies up to this size are kept for retries; larger ones are sent once.'),
  bufferFirst: size
    .prefault('64KiB')
    .describe('Bytes of a request body to wait for before the upstream is contacted.'),
  preserveHost: z
    .boolean()
    .default(false)
    .describe('Send the client’s Host field instead of the endpoint’s.'),
  forwarded: z
    .boolean()
    .default(false)
    .describe('Add X-Forwarded-* and Forwarded. For upstreams of your own.'),
  passDeadline: z
    .boolean()
    .default(false)
    .describe('Tell the upstream how much time is left (X-Request-Timeout-Ms). For upstreams of your own.'),
  http2: z.boolean().default(false).describe('Offer HTTP/2 in the TLS handshake.'),
  tls: tlsTowards('the upstream').prefault({}),
  keepAlive: positiveDuration
    .prefault('4s')
    .describe('How long idle connections are kept; keep it below the upstream’s own limit.'),
  maxResponseHead: size.prefault('64KiB').describe('Largest response head to accept.'),
  upgrades: z
    .array(z.string().toLowerCase())
    .default(['websocket'])
    .describe('Protocols a client may switch to.'),
  tunnelIdle: positiveDuration.prefault('10m').describe('Longest silence on an upgraded connection.'),
  policies: policies.prefault({}),
  overrides: overrides.default({}),
};

const routePrefix = z
  .string()
  .regex(/^\/([^\s?#]*[^\s?#/])?$/, {
    error: 'expected a path prefix such as "/openai": it starts with "/" and does not end with one',
  })
  .describe('Path prefix on the shared listener. What follows it goes to the upstream unchanged.');

const upstream = z
  .strictObject({
    route: routePrefix.optional(),
    listen: listenAddress.optional().describe('A listener of its own, without a prefix.'),
    endpoints: z.array(endpointSchema).default([]).describe('Addresses. At least one, or `discovery`.'),
    discovery: discoverySchema.optional(),
    ...sharedUpstreamShape,
  })
  .refine(({ endpoints, discovery }) => endpoints.length > 0 || discovery !== undefined, {
    path: ['endpoints'],
    error: 'expected at least one endpoint, or discovery',
  })
  .refine(({ endpoints, discovery }) => endpoints.length === 0 || discovery === undefined, {
    path: ['discovery'],
    error: 'expected no discovery beside endpoints',
  })
  .refine((one) => one.route !== undefined || one.listen !== undefined, {
    error: 'expected route, listen or both',
  })
  .describe('A service that calls go to.');

const server = z
  .strictObject({
    listen: listenAddress
      .default('127.0.0.1:8080')
      .describe('Data plane: agents point their base URLs here.'),
    admin: listenAddress.default('127.0.0.1:9090').describe('Admin plane: health, metrics, administration.'),
    name: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9._-]{0,63}$/, {
        error: 'expected a name of letters, digits, ".", "_" and "-"',
      })
      .optional()
      .describe(
        'Name of this process in Via and Proxy-Status. Default: outrigger and a random suffix. Must be unique on a path, for loops are recognised by it.',
      ),
    agentHeader: headerName.default('x-agent-id').describe('Request header that names the agent, for logs.'),
    maxHeaderSize: size.prefault('32KiB').describe('Largest request head; beyond it the answer is 431.'),
    maxRequestBody: size.prefault('1GiB').describe('Largest request body; beyond it the answer is 413.'),
    headersTimeout: positiveDuration
      .prefault('10s')
      .describe('Time for a client to send a request head, however slowly it drips.'),
    bodyTimeout: positiveDuration
      .prefault('60s')
      .describe('Longest silence of a client in the middle of its request body.'),
    keepAlive: positiveDuration.prefault('72s').describe('How long idle client connections are kept.'),
    maxConnections: positiveCount
      .optional()
      .describe('Client connections at a time and listener. Default: no limit.'),
    replayMemory: size.prefault('256MiB').describe('Memory that kept request bodies may take together.'),
    drainTimeout: positiveDuration
      .prefault('20s')
      .describe('Time for exchanges under way to finish when the sidecar is told to stop.'),
    tls: tlsOfListener('the data plane’s listeners').optional(),
  })
  .describe('Listeners and limits towards clients.');

const admin = z
  .strictObject({
    token: secret(z.string().min(8))
      .optional()
      .describe('Bearer token that changes (POST) need. Default: none; keep the port on loopback then.'),
    readyNeedsUpstreams: z
      .boolean()
      .default(false)
      .describe(
        'Fail /ready while a breaker is open. Takes the agent out of service when one upstream is down.',
      ),
    journal: positiveCount.max(100_000).default(1_000).describe('Events kept for /admin/events.'),
  })
  .describe('The admin plane.');

const logging = z
  .strictObject({
    level: z
      .enum(['debug', 'info', 'warn', 'error'])
      .default('info')
      .describe('Least severe line that is written.'),
    access: z.enum(['all', 'errors', 'off']).default('all').describe('Which exchanges get a line.'),
  })
  .describe('Structured logs, one JSON object a line, on standard output.');

const usage = z.strictObject({ currency }).describe('How tokens and what they cost are told.');

export const configSchema = z
  .strictObject({
    server: server.prefault({}),
    admin: admin.prefault({}),
    logging: logging.prefault({}),
    usage: usage.prefault({}),
    state: stateSchema.prefault({}),
    defaults: z
      .strictObject(sharedUpstreamShape)
      .partial()
      .optional()
      .describe('Settings that every upstream starts from.'),
    upstreams: z
      .record(
        z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, {
          error: 'expected a name of lower-case letters, digits, "-" and "_"',
        }),
        upstream,
      )
      .default({})
      .describe('The services that calls go to, by name.'),
    agent: agentSchema.optional(),
    registry: registrySchema.optional(),
    playground: playgroundSchema
      .optional()
      .describe('An embedded faulty provider, for trying things offline.'),
  })
  .describe('Configuration of Outrigger.');

export type Config = z.output<typeof configSchema>;
export type UpstreamConfig = z.output<typeof upstream>;
export type ServerConfig = z.output<typeof server>;
