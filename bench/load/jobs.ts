/** What the bench asks of its load process, and what comes back. Both travel as messages between the processes. */
import type { MeterReading } from '../lab/proc.ts';

/** What went wrong; any of them makes a round invalid. */
export interface Failures {
  /** Answers outside 200–299. */
  readonly non2xx: number;
  /** Refused, reset or cut connections, and timeouts. */
  readonly socketErrors: number;
  /** Answers that ended early or never, or with fewer bytes than were sent. */
  readonly incomplete: number;
}

export const noFailures: Failures = { non2xx: 0, socketErrors: 0, incomplete: 0 };

export function countFailures({ non2xx, socketErrors, incomplete }: Failures): number {
  return non2xx + socketErrors + incomplete;
}

/** The proxy under measurement. */
export interface Target {
  readonly port: number;
  readonly pids: readonly number[];
  /** The core it is pinned to, if it is. */
  readonly core?: number;
}

export interface JsonJob {
  readonly kind: 'json';
  readonly connections: number;
  readonly durationMs: number;
  /** No two requests are alike, so that nothing can be answered from memory. Default: all are the same. */
  readonly unique?: boolean;
}

export interface SseJob {
  readonly kind: 'sse';
  readonly streams: number;
  /** Calls of a model API, with its events. Default: short ones of nobody's. */
  readonly chat?: boolean;
  /** Measured from when all streams flow. */
  readonly durationMs: number;
}

export interface BigJob {
  readonly kind: 'big';
  /** Transfers in a row, for each of fast download and upload. */
  readonly transfers: number;
  /** Concurrent downloads with a reader that takes `slowBytesPerSecond`. */
  readonly slowReaders: number;
  readonly slowBytesPerSecond: number;
}

export interface IdleJob {
  readonly kind: 'idle';
  readonly streams: number;
  readonly settleMs: number;
}

export type Job = JsonJob | SseJob | BigJob | IdleJob;

/** Figures by name, the meter's reading where there is one stretch of time to read, and what failed. */
export interface JobResult {
  readonly figures: Readonly<Record<string, number>>;
  readonly failures: Failures;
  readonly foreignShare?: number;
}

export type ToLoad = { readonly target: Target; readonly job: Job };
export type FromLoad =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'done'; readonly result: JobResult }
  | { readonly kind: 'failed'; readonly message: string };

/** The noise of a reading, in the shape that a result takes. */
export function foreignOf({ foreignShare }: MeterReading): { foreignShare?: number } {
  return foreignShare === undefined ? {} : { foreignShare };
}

/** Collects failures while a job runs. */
export class FailureCount implements Failures {
  non2xx = 0;
  socketErrors = 0;
  incomplete = 0;

  status(status: number): void {
    if (status < 200 || status > 299) this.non2xx += 1;
  }

  toJSON(): Failures {
    return { non2xx: this.non2xx, socketErrors: this.socketErrors, incomplete: this.incomplete };
  }
}
