/** Where the endpoints of an upstream come from: its configuration, or a place that is asked while the sidecar runs. */
import type { UpstreamConfig } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { sleep } from '../core/clock.ts';
import { Cancellation } from '../core/cancellation.ts';
import type { EndpointSource } from '../core/endpoint-source.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import type { InstanceDirectory } from '../core/registry.ts';
import { Discovered } from '../discovery/discovered.ts';
import { FixedSource } from '../discovery/fixed.ts';
import { chosenKind } from '../discovery/index.ts';
import type { Inventory } from './inventory.ts';
import type { LiveUpstream } from './upstream.ts';

export interface SourceDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  readonly inventory: Inventory;
  /** Of this process. */
  readonly registry?: InstanceDirectory | undefined;
}

export function sourceOf(
  upstream: string,
  { endpoints, discovery }: UpstreamConfig,
  { clock, random, emit, inventory, registry }: SourceDeps,
): EndpointSource {
  if (!discovery) return new FixedSource(endpoints);
  const { kind, own } = chosenKind(discovery);
  return inventory.keep(`${upstream}/discovery`, [kind.key, own], () => {
    const deps = { clock, random, upstream, registry };
    const build: ConstructorParameters<typeof Discovered>[0]['build'] = (list) =>
      kind.build(own, { ...deps, list });
    return new Discovered({ clock, emit, upstream, kind: kind.key, build });
  });
}

/**
 * Begins to look, and waits until each upstream has endpoints, but not for longer than its `discovery.wait`: with the
 * first call its addresses should be known, and a source that is away must not hold up the others.
 *
 * @param deps.ended nobody waits any more
 * @returns those that have been waited for, and have none: why, by upstream
 */
export async function firstLists(
  upstreams: Iterable<LiveUpstream>,
  configs: Readonly<Record<string, UpstreamConfig>>,
  { clock, ended }: { readonly clock: Clock; readonly ended: Cancellation },
): Promise<ReadonlyMap<string, string>> {
  const without = new Map<string, string>();
  const waiting = [...upstreams].flatMap(({ name, source }) => {
    // One that was begun for the configuration before has had its time.
    if (!(source instanceof Discovered) || source.started) return [];
    source.start();
    const waitMs = configs[name]?.discovery?.wait ?? 0;
    const waited = atMost(source.first, waitMs, { clock, ended });
    return waited.then(() => {
      if (source.version > 0 || waitMs === 0) return;
      without.set(name, source.status.failure ?? `nothing was heard within ${waitMs} ms`);
    });
  });
  await Promise.all(waiting);
  return without;
}

async function atMost(
  done: Promise<void>,
  ms: number,
  { clock, ended }: { readonly clock: Clock; readonly ended: Cancellation },
): Promise<void> {
  const cancellation = new Cancellation(ended);
  const isDone = done.then(() => cancellation.cancel('superseded'));
  await Promise.race([isDone, sleep(clock, ms, cancellation)]);
  cancellation.detach();
}
