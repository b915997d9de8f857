/** The `registry` section: where instances register themselves, for how long that holds, and how many may. */
import { z } from 'zod';
import { listenAddress, positiveCount, positiveDuration, secret, size } from './scalars.ts';
import { tlsOfListener } from './tls.ts';

/** Bounds of every lease, that an instance asks for, too. */
export const MIN_TTL_MS = 1_000;
export const MAX_TTL_MS = 3_600_000;

/** Whoever registers an address gets calls: only this machine's own programs may do so unasked. */
const isOfThisMachine = (address: string): boolean =>
  /^(127\.\d+\.\d+\.\d+|\[::1\]|localhost):\d+$/i.test(address);

export const registrySchema = z
  .strictObject({
    listen: listenAddress
      .default('127.0.0.1:9091')
      .describe('Where the registry listens. Beyond this machine it needs a token.'),
    token: secret(z.string().min(8))
      .optional()
      .describe('Bearer token that everything but /health needs. Default: none.'),
    tls: tlsOfListener('the registry’s listener').optional(),
    ttl: positiveDuration
      .refine((ms) => ms >= MIN_TTL_MS && ms <= MAX_TTL_MS, { error: 'expected a duration from 1s to 1h' })
      .prefault('30s')
      .describe('How long an instance counts as alive after a heartbeat, unless it asks for another time.'),
    sweepInterval: positiveDuration
      .prefault('5s')
      .describe('How often leases are looked at: an instance is down at most so long after its ran out.'),
    retention: positiveDuration
      .prefault('5m')
      .describe('How long an instance whose lease ran out is still shown, as down.'),
    maxInstances: positiveCount.max(100_000).default(10_000).describe('Instances of all services together.'),
    maxServices: positiveCount.max(10_000).default(200).describe('Services.'),
    maxMetadata: size.prefault('4KiB').describe('Largest metadata of an instance, as JSON.'),
    maxWatchers: positiveCount.max(10_000).default(256).describe('Clients that follow changes, at a time.'),
    shared: z
      .boolean()
      .default(false)
      .describe('Share the instances with the registries of other sidecars; needs `state.redis`.'),
  })
  .refine(({ listen, token }) => token !== undefined || isOfThisMachine(listen), {
    error: 'expected a token where the registry listens beyond this machine: whoever registers gets calls',
    path: ['token'],
  })
  .describe('An embedded registry in which instances of services register themselves.');

export type RegistryOptions = z.output<typeof registrySchema>;

/** What bounds the catalog and what it holds. */
export type RegistryLimits = Pick<
  RegistryOptions,
  'ttl' | 'retention' | 'maxInstances' | 'maxServices' | 'maxMetadata'
>;
