/** Makes the calls to all instances, some at a time, within one bound of time. */
import { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { Exchange } from '../core/exchange.ts';
import { whenOver } from '../core/outcome.ts';
import type { Outcome } from '../core/outcome.ts';
import { reasonOfCancel } from '../core/reasons.ts';
import { collect } from './collect.ts';
import { requestFor } from './requests.ts';
import type { Format } from './requests.ts';
import type { Instance, Result } from './result.ts';

export interface FanOutBounds {
  readonly maxConcurrent: number;
  readonly deadlineMs: number;
  /** Of each answer. */
  readonly maxBytes: number;
}

export interface FanOutDeps {
  readonly clock: Clock;
  readonly send: (exchange: Exchange, cancellation: Cancellation) => Promise<Outcome>;
  readonly onResult: (result: Result) => void;
}

export class FanOut {
  readonly #exchange: Exchange;
  readonly #format: Format;
  readonly #bounds: FanOutBounds;
  readonly #deps: FanOutDeps;

  constructor(exchange: Exchange, format: Format, parts: { bounds: FanOutBounds; deps: FanOutDeps }) {
    this.#exchange = exchange;
    this.#format = format;
    this.#bounds = parts.bounds;
    this.#deps = parts.deps;
  }

  /**
   * Resolves when every instance has its result; all have one soon after `cancellation`. Once the time is over, those whose
   * turn has not come are not asked.
   */
  async run(instances: readonly Instance[], cancellation: Cancellation): Promise<void> {
    const { clock } = this.#deps;
    const bounded = new Cancellation(cancellation);
    const timer = this.#bound(bounded);
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let one = instances[next++]; one; one = instances[next++])
        this.#deps.onResult(await this.#ask(one, bounded));
    };
    const workers = Math.min(this.#bounds.maxConcurrent, instances.length);
    await Promise.all(Array.from({ length: workers }, worker));
    clock.clearTimer(timer);
    bounded.detach();
  }

  /** The operator's bound, or the caller's where that comes first. */
  #bound(bounded: Cancellation): ReturnType<Clock['setTimer']> {
    const { clock } = this.#deps;
    const { startedAt, callerTimeoutMs = Number.POSITIVE_INFINITY } = this.#exchange;
    const callersMs = Math.max(0, startedAt + callerTimeoutMs - clock.now());
    const { deadlineMs } = this.#bounds;
    return callersMs < deadlineMs
      ? clock.setTimer(callersMs, () => bounded.cancel('caller-deadline'))
      : clock.setTimer(deadlineMs, () => bounded.cancel('deadline'));
  }

  async #ask(of: Instance, bounded: Cancellation): Promise<Result> {
    const { clock, send } = this.#deps;
    if (bounded.reason !== undefined)
      return {
        of,
        durationMs: 0,
        error: { reason: reasonOfCancel(bounded.reason), detail: 'it was not asked' },
      };
    const startedAt = clock.now();
    const its = new Cancellation(bounded);
    const call = this.#callTo(of, its);
    const outcome = await send(call, its);
    whenOver(outcome, () => its.detach());
    const came =
      outcome.kind === 'response'
        ? await collect(outcome, { maxBytes: this.#bounds.maxBytes, enough: () => stopLater(its) })
        : { error: { reason: outcome.reason, ...(outcome.detail && { detail: outcome.detail }) } };
    return { of, durationMs: clock.now() - startedAt, ...came };
  }

  /** A call of its own, with its own tries; what it has in common with the others is what is asked. */
  #callTo({ endpoint }: Instance, cancellation: Cancellation): Exchange {
    return this.#exchange.variedBy({
      request: requestFor(this.#exchange.request, this.#format, endpoint),
      cancellation,
      ownTrail: 'told',
      pinnedTo: endpoint,
      onInformational: undefined,
    });
  }
}

/** Not from within the delivery that it stops. */
const stopLater = (cancellation: Cancellation): void =>
  queueMicrotask(() => cancellation.cancel('superseded'));
