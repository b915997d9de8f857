/** Instances as they outlive the process. */
import type { Instants, PersistentState } from '../core/persistence.ts';
import type { Registration } from '../core/registry.ts';
import { readRegistration } from './read-registration.ts';
import type { Entry } from './service.ts';

/** Beyond this the rest is left out: it shares its file with all else that is kept, and registers anew. */
const MAX_BYTES = 8 * 1024 * 1024;
/** Of an instance, besides its texts. */
const ABOUT_BYTES = 200;

export function captureEntries(
  services: readonly ReadonlyMap<string, Entry>[],
  instants: Instants,
): PersistentState | undefined {
  const saved: PersistentState[] = [];
  let bytes = 0;
  for (const entries of services)
    for (const entry of entries.values()) {
      bytes += sizeOf(entry);
      if (bytes > MAX_BYTES) return { instances: saved };
      saved.push(savedEntry(entry, instants));
    }
  return saved.length === 0 ? undefined : { instances: saved };
}

function sizeOf({ instance: { service, id, url, zone, metadata } }: Entry): number {
  let bytes = ABOUT_BYTES + service.length + id.length + url.length + (zone?.length ?? 0);
  for (const key in metadata) bytes += key.length + (metadata[key]?.length ?? 0) + 6;
  return bytes;
}

function savedEntry({ instance, expiresAt, expiredAt }: Entry, instants: Instants): PersistentState {
  const { service, id, url, reported, weight, priority, zone, metadata, ttlMs, here } = instance;
  return {
    ...{ service, id, url, status: reported, weight, priority, metadata, ttlMs, here },
    ...(zone !== undefined && { zone }),
    expiresAt: instants.toSaved(expiresAt),
    ...(expiredAt !== undefined && { expiredAt: instants.toSaved(expiredAt) }),
  };
}

interface Restored {
  readonly said: Registration;
  readonly here: boolean;
  readonly lease: Pick<Entry, 'beatAt' | 'expiresAt' | 'expiredAt'>;
}

interface Restoring {
  readonly now: number;
  readonly instants: Instants;
  readonly retention: number;
}

/** Those that are not dead for longer than the retention. @returns undefined where that is nothing of the kind */
export function readSaved(saved: unknown, restoring: Restoring): readonly Restored[] | undefined {
  const list = (saved as { instances?: unknown } | null)?.instances;
  if (!Array.isArray(list)) return undefined;
  return list.flatMap((one) => restored(one, restoring) ?? []);
}

function restored(saved: unknown, { now, instants, retention }: Restoring): Restored | undefined {
  if (typeof saved !== 'object' || saved === null) return undefined;
  const one = saved as Readonly<Record<string, unknown>>;
  const { service, id, expiresAt, expiredAt, here, ...body } = one;
  if (typeof service !== 'string' || typeof id !== 'string' || typeof expiresAt !== 'number')
    return undefined;
  const read = readRegistration({ service, id, body, defaultTtlMs: 0, maxMetadata: Infinity });
  if (!read.ok) return undefined;
  const said = read.value;
  const dueAt = instants.fromSaved(expiresAt, 0);
  const goneAt = typeof expiredAt === 'number' ? instants.fromSaved(expiredAt, 0) : undefined;
  if (now - (goneAt ?? dueAt) >= retention) return undefined;
  const lease = {
    beatAt: Math.min(now, dueAt - said.ttlMs),
    expiresAt: Math.max(now, Math.min(dueAt, now + said.ttlMs)) + said.ttlMs,
    expiredAt: goneAt,
  };
  return { said, here: here !== false, lease };
}
