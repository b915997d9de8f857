/** One look at a server: what every kind of probe is to those who run it. */
import type { Clock } from '../../core/clock.ts';

/** What a look at a server showed. */
export interface ProbeResult {
  readonly ok: boolean;
  /** It is well enough to be asked, but says itself that it is not quite well. Only with `ok`. */
  readonly degraded?: boolean;
  /** One line for people: what was seen, or why it failed. Holds nothing that the server could have put a secret into. */
  readonly detail: string;
  readonly durationMs: number;
}

/** A result before anybody looked at the time. */
export type Finding = Omit<ProbeResult, 'durationMs'>;

/**
 * Looks once, over a connection of its own, and closes it. Has no timer: whoever starts it aborts `signal`, upon which the
 * connection is broken off and the probe ends at once. Never rejects.
 */
export type Probe = (signal: AbortSignal) => Promise<ProbeResult>;

export const passed = (detail: string): Finding => ({ ok: true, detail });
export const failed = (detail: string): Finding => ({ ok: false, detail });

/** A probe from a look that may reject: its duration is measured, an error becomes the detail. */
export function probeFrom(clock: Clock, look: (signal: AbortSignal) => Promise<Finding>): Probe {
  return async (signal) => {
    const startedAt = clock.now();
    const finding = await look(signal).catch((error: unknown) => failed(reasonOf(error)));
    return { ...finding, durationMs: clock.now() - startedAt };
  };
}

export interface ProbeRun {
  readonly clock: Clock;
  /** Above 0. When it is over the probe is aborted and counts as failed. */
  readonly timeoutMs: number;
  /** Ends the run early, with a failure that means nothing. */
  readonly signal?: AbortSignal;
}

/** Runs a probe within its time, also one that does not heed its signal. Leaves no timer and no listener. Never rejects. */
export function runProbe(probe: Probe, { clock, timeoutMs, signal }: ProbeRun): Promise<ProbeResult> {
  const startedAt = clock.now();
  const abort = new AbortController();
  return new Promise((resolve) => {
    const end = (finding: Finding): void => {
      clock.clearTimer(timer);
      signal?.removeEventListener('abort', onAbort);
      resolve({ ...finding, durationMs: clock.now() - startedAt });
    };
    const giveUp = (detail: string): void => {
      // First, so that what the probe says of its own end comes too late.
      end(failed(detail));
      abort.abort();
    };
    const onAbort = (): void => giveUp('broken off');
    const timer = clock.setTimer(timeoutMs, () => giveUp(`not done within ${timeoutMs} ms`));
    if (signal?.aborted === true) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    probe(abort.signal).then(end, (error: unknown) => end(failed(reasonOf(error))));
  });
}

/** Why something on a socket went wrong: the message, where it names its code; else the code and the message. */
export function reasonOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string };
  // Node tries several addresses of a name, and has a code and no message when all of them fail.
  const text = message ?? '';
  if (code === undefined || text.includes(code)) return text === '' ? 'failed for no stated reason' : text;
  return text === '' ? code : `${code}: ${text}`;
}
