/** A bulkhead with its own clock, and calls through it that end as the test says. */
import { Cancellation } from '../../src/core/cancellation.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { Bulkhead, bulkhead } from '../../src/policies/bulkhead.ts';
import {
  ControlledBody,
  Script,
  attemptAt,
  bodyOf,
  exchangeAt,
  kit,
  respond,
} from '../support/policy-kit.ts';
import type { Kit, Step } from '../support/policy-kit.ts';
import { settle } from '../support/fake-clock.ts';

export interface Call {
  readonly exchange: Exchange;
  readonly outcome: () => Outcome | undefined;
  /** Milliseconds from the start of the rig at which it went on; undefined while it waits, or where it never did. */
  readonly wentAt: () => number | undefined;
  /** Lets its body end. */
  readonly end: () => Promise<void>;
  readonly leave: () => Promise<void>;
}

export interface CallParts {
  readonly agent?: string;
  readonly address?: string;
  readonly priority?: string;
  readonly deadlineInMs?: number;
}

export class BulkheadRig {
  readonly kit: Kit;
  readonly policy: Bulkhead;

  constructor(options: object = {}, previous?: BulkheadRig) {
    this.kit = previous?.kit ?? kit();
    this.policy = new Bulkhead(bulkhead.schema.parse(options), this.kit.deps, previous?.policy);
  }

  get clock(): Kit['clock'] {
    return this.kit.clock;
  }

  /** Starts a call; its body stays open until the test ends it. */
  async start(parts: CallParts = {}, step: Step<Exchange> = () => respond()): Promise<Call> {
    const { agent, address = '10.0.0.1', priority, deadlineInMs } = parts;
    const script = new Script<Exchange>(this.clock, step);
    const exchange = exchangeAt(this.clock, {
      agentId: agent,
      client: () => ({ address, secure: false }),
      request: { headers: priority === undefined ? [] : ['X-Priority', priority] },
      cancellation: new Cancellation(),
    });
    if (deadlineInMs !== undefined) exchange.deadlineAt = this.clock.now() + deadlineInMs;
    let outcome: Outcome | undefined;
    void this.policy.run(exchange, script.next, exchange.cancellation).then((settled) => (outcome = settled));
    await settle();
    return {
      exchange,
      outcome: () => outcome,
      wentAt: () => {
        const at = script.calls[0]?.at;
        return at === undefined ? undefined : at - 1_000;
      },
      end: async () => {
        bodyOf(outcome).complete();
        await settle();
      },
      leave: async () => {
        exchange.cancellation.cancel('client-aborted');
        await settle();
      },
    };
  }

  async startAll(all: readonly CallParts[]): Promise<Call[]> {
    const calls: Call[] = [];
    for (const parts of all) calls.push(await this.start(parts));
    return calls;
  }

  /** A call that is over after `ms`, body included, as an attempt with an outcome of its own. */
  async call(outcome: Outcome, ms = 100): Promise<void> {
    await this.start({}, this.attempt(outcome, ms));
    await this.clock.advance(ms);
  }

  /** What stands below makes one attempt of `ms` and ends with `outcome`; its body has ended then. */
  attempt(outcome: Outcome, ms: number): Step<Exchange> {
    return (exchange) => {
      const attempt = attemptAt(this.clock, exchange);
      return new Promise((resolve) => {
        this.clock.setTimer(ms, () => {
          if (outcome.kind !== 'rejection') attempt.verdict = outcome.verdict;
          if (outcome.kind === 'response') attempt.status = outcome.head.status;
          else attempt.reason = outcome.reason;
          attempt.durationMs = ms;
          attempt.cancellation.detach();
          if (outcome.kind === 'response' && outcome.body instanceof ControlledBody) outcome.body.complete();
          resolve(outcome);
        });
      });
    };
  }

  /** Milliseconds from the start of the rig. */
  async until(ms: number): Promise<void> {
    await this.clock.advance(ms + 1_000 - this.clock.now());
  }

  get snapshot(): Readonly<Record<string, unknown>> {
    return this.policy.snapshot();
  }
}

/** Ends the calls that were let go, one after the other, until nobody waits; the order in which calls went. */
export async function orderOf(calls: readonly Call[]): Promise<number[]> {
  const order: number[] = [];
  const ended = new Set<Call>();
  for (;;) {
    for (const [number, call] of calls.entries())
      if (call.wentAt() !== undefined && !order.includes(number)) order.push(number);
    const next = order.map((number) => calls[number]).find((call) => call && !ended.has(call));
    if (!next) return order;
    ended.add(next);
    await next.end();
  }
}
