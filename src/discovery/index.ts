/** The kinds of discovery there are, and the section of the configuration in which one is chosen. */
import { z } from 'zod';
import { duration } from '../schema/scalars.ts';
import { consul } from './consul.ts';
import { dns } from './dns.ts';
import { etcd } from './etcd.ts';
import { file } from './file.ts';
import type { DiscoveryKind } from './kind.ts';
import { kubernetes } from './kubernetes.ts';
import { registry } from './registry.ts';

/** In the order of the docs. */
export const DISCOVERY_KINDS = [
  file,
  dns,
  registry,
  consul,
  etcd,
  kubernetes,
] as const satisfies readonly AnyKind[];

/** A kind whatever its options are. */
type AnyKind = Omit<DiscoveryKind, 'build'> & { build(options: never, ...rest: never[]): unknown };

const kinds = Object.fromEntries(DISCOVERY_KINDS.map(({ key, schema }) => [key, schema.optional()]));
const keys = Object.keys(kinds);

export const discoverySchema = z
  .strictObject({
    wait: duration
      .prefault('5s')
      .describe(
        'How long a start or a reload waits for the first list. After that calls are refused (503) until it is there.',
      ),
    ...kinds,
  })
  .refine((options) => keys.filter((key) => key in options).length === 1, {
    error: `expected one of ${keys.join(', ')}`,
  })
  .describe('Where the endpoints are found while the sidecar runs, instead of `endpoints`.');

export type DiscoveryOptions = z.output<typeof discoverySchema>;

/** The kind that is chosen, and its options. */
export function chosenKind(options: DiscoveryOptions): { kind: DiscoveryKind; own: unknown } {
  const kind = DISCOVERY_KINDS.find(({ key }) => key in options);
  if (!kind) throw new Error('no kind of discovery was chosen');
  return { kind: kind, own: (options as Record<string, unknown>)[kind.key] };
}
