/** The `agent.register` section: where the agent is entered, and how it is kept there. */
import { z } from 'zod';
import { MAX_TTL_MS, MIN_TTL_MS } from './registry.ts';
import { positiveDuration, secret } from './scalars.ts';
import { serverUrl } from './server-url.ts';
import { tlsTowards } from './tls.ts';

/** At Consul and etcd, which grant whatever they are asked for. */
export const DEFAULT_TTL_MS = 30_000;

const token = secret(z.string().min(1));
const name = z.string().min(1).max(200);

const registrySchema = z
  .strictObject({
    url: serverUrl.describe('Address of the registry: the `registry.listen` of a sidecar.'),
    token: token.optional().describe('Its token. Never printed.'),
    tls: tlsTowards('the registry').prefault({}),
  })
  .describe('The registry of another sidecar.');

const consulSchema = z
  .strictObject({
    url: serverUrl.default('http://127.0.0.1:8500').describe('Address of the Consul agent on this machine.'),
    token: token.optional().describe('ACL token. Never printed.'),
    namespace: name.optional().describe('Namespace (Consul Enterprise).'),
    partition: name.optional().describe('Admin partition (Consul Enterprise).'),
    deregisterAfter: positiveDuration
      .prefault('1m')
      .describe('Consul forgets an agent that is critical for so long. Consul itself knows no less than 1m.'),
    tls: tlsTowards('Consul').prefault({}),
  })
  .describe('Consul, by a service with a TTL check.');

const etcdSchema = z
  .strictObject({
    urls: z.array(serverUrl).min(1).describe('Addresses of the members, tried in turn.'),
    prefix: z
      .string()
      .min(1)
      .max(500)
      .default('/services/')
      .describe('The key is this, the service, "/" and the id.'),
    user: z.string().min(1).optional().describe('User, where etcd asks for one.'),
    password: secret(z.string().min(1)).optional().describe('Password. Never printed.'),
    tls: tlsTowards('etcd').prefault({}),
  })
  .refine(({ user, password }) => (user === undefined) === (password === undefined), {
    error: 'expected user and password together',
  })
  .describe('etcd v3, by a key with a lease.');

export const agentRegisterSchema = z
  .strictObject({
    embedded: z.literal(true).optional().describe('The registry of this sidecar: the section `registry`.'),
    registry: registrySchema.optional(),
    consul: consulSchema.optional(),
    etcd: etcdSchema.optional(),
    heartbeat: positiveDuration
      .optional()
      .describe(
        'Longest time from one sign of life to the next. Default: what the registry asks for, at Consul and etcd a third of `ttl`.',
      ),
    ttl: positiveDuration
      .refine((ms) => ms >= MIN_TTL_MS && ms <= MAX_TTL_MS, { error: 'expected a duration from 1s to 1h' })
      .optional()
      .describe(
        'Without a sign of life the registry takes the agent for down after this time. Default: that of the registry, at Consul and etcd 30s.',
      ),
    timeout: positiveDuration.prefault('5s').describe('Longest wait for the registry, also at the end.'),
  })
  .refine(
    ({ embedded, registry, consul, etcd }) =>
      [embedded, registry, consul, etcd].filter((one) => one !== undefined).length === 1,
    { error: 'expected exactly one of embedded, registry, consul and etcd' },
  )
  .refine(
    ({ heartbeat = 0, ttl, consul, etcd }) =>
      2 * heartbeat <= (ttl ?? (consul || etcd ? DEFAULT_TTL_MS : Infinity)),
    {
      error: 'expected at least twice the heartbeat, so that one lost sign of life does no harm',
      path: ['ttl'],
    },
  )
  .describe('Where others find the agent. Default: nowhere.');

export type AgentRegisterOptions = z.output<typeof agentRegisterSchema>;
export type RegistryTarget = z.output<typeof registrySchema>;
export type ConsulTarget = z.output<typeof consulSchema>;
export type EtcdTarget = z.output<typeof etcdSchema>;
