/** What the playground has seen, in numbers that always add up. */
import { FAULT_KINDS } from './faults.ts';
import type { Fault, FaultKind } from './faults.ts';

/** How a request ended; exactly one of these. */
export type Ending =
  /** The whole answer went out. */
  | 'answered'
  /** Refused for what it was: 400, 404, 405, 413. */
  | 'refused'
  /** An injected fault ended it: error, throttle, reset, a stall that ran out, cut. */
  | 'failed'
  /** The client closed the connection first. */
  | 'abandoned'
  /** The playground was closed first. */
  | 'interrupted';

export interface PlaygroundStats {
  /** All requests except those to `/` and `/health`; equals `open` plus the sum of `endings`. */
  readonly requests: number;
  /** Requests not ended yet. */
  readonly open: number;
  readonly endings: Readonly<Record<Ending, number>>;
  /** Faults injected, whatever then became of the request. */
  readonly faults: Readonly<Record<FaultKind, number>>;
  /** Answers sent as events, from their first byte; `started` equals the sum of the others. */
  readonly streams: Readonly<
    Record<'started' | 'open' | 'completed' | 'cut' | 'abandoned' | 'interrupted', number>
  >;
  /** Connections open now, idle ones included. */
  readonly connections: number;
}

const NO_ENDINGS: Readonly<Record<Ending, number>> = {
  answered: 0,
  refused: 0,
  failed: 0,
  abandoned: 0,
  interrupted: 0,
};

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, each) => total + each, 0);

export class StatsCounter {
  #requests = 0;
  #streams = 0;
  readonly #endings = { ...NO_ENDINGS };
  readonly #streamEndings = { ...NO_ENDINGS };
  readonly #faults = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>;

  requestSeen(): void {
    this.#requests += 1;
  }

  faultInjected(fault: Fault): void {
    if (fault !== 'none') this.#faults[fault] += 1;
  }

  streamStarted(): void {
    this.#streams += 1;
  }

  /** @param streamed whether its stream had started */
  requestEnded(ending: Ending, streamed: boolean): void {
    this.#endings[ending] += 1;
    if (streamed) this.#streamEndings[ending] += 1;
  }

  /** A copy that later events do not change. */
  snapshot(connections: number): PlaygroundStats {
    const { answered, failed, abandoned, interrupted } = this.#streamEndings;
    return {
      requests: this.#requests,
      open: this.#requests - sum(this.#endings),
      endings: { ...this.#endings },
      faults: { ...this.#faults },
      streams: {
        started: this.#streams,
        open: this.#streams - sum(this.#streamEndings),
        completed: answered,
        cut: failed,
        abandoned,
        interrupted,
      },
      connections,
    };
  }
}
