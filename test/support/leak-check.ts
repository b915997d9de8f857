/** Counts what keeps the event loop alive, to assert that a test or a policy left nothing behind. */
import { turns } from './turns.ts';

/** Kinds as `process.getActiveResourcesInfo()` names them. Unreferenced timers and sockets are not counted there. */
export type ResourceCounts = Readonly<Record<string, number>>;

const watchedByDefault = [
  'TCPSocketWrap',
  'TCPServerWrap',
  'TLSWrap',
  'Timeout',
  'ProcessWrap',
  'FSEventWrap',
  'StatWatcher',
];

export interface LeakCheck {
  readonly baseline: ResourceCounts;
  /** What there is more of than at the baseline; empty when nothing leaked. */
  leaked(): ResourceCounts;
  /**
   * Waits until no watched kind exceeds its baseline.
   * @param timeoutMs default 2000
   * @throws Error that names what is left
   */
  settled(timeoutMs?: number): Promise<void>;
}

/**
 * Takes the baseline, once what is already closing is gone.
 * @param kinds what to watch. Default: sockets, listeners, timers, children, file watchers.
 */
export async function leakCheck(kinds: readonly string[] = watchedByDefault): Promise<LeakCheck> {
  await turns(3);
  const baseline = activeResources(kinds);
  const leaked = (): ResourceCounts => {
    const more = Object.entries(activeResources(kinds)).map(
      ([kind, count]) => [kind, count - (baseline[kind] ?? 0)] as const,
    );
    return Object.fromEntries(more.filter(([, count]) => count > 0));
  };
  return {
    baseline,
    leaked,
    settled: async (timeoutMs = 2_000) => {
      const giveUpAt = performance.now() + timeoutMs;
      while (Object.keys(leaked()).length > 0) {
        if (performance.now() > giveUpAt)
          throw new Error(`left behind after ${timeoutMs} ms: ${JSON.stringify(leaked())}`);
        await turns(1);
      }
    },
  };
}

/** How many resources of each kind are active now. */
export function activeResources(kinds: readonly string[] = watchedByDefault): ResourceCounts {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (kinds.includes(kind)) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
