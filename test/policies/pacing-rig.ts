/** A pacing policy with its own clock, and calls through it that end as the test says. */
import type { Cancellation } from '../../src/core/cancellation.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { Random } from '../../src/core/random.ts';
import { Pacing, pacing } from '../../src/policies/pacing.ts';
import { Script, attemptAt, bytesBody, exchangeAt, finish, kit, respond } from '../support/policy-kit.ts';
import type { Kit, Step } from '../support/policy-kit.ts';
import { settle } from '../support/fake-clock.ts';

export interface Call {
  readonly exchange: Exchange;
  readonly outcome: () => Outcome | undefined;
  /** Milliseconds from the start of the rig at which it went on; undefined while it waits, or where it never did. */
  readonly wentAt: () => number | undefined;
}

export interface CallParts {
  readonly priority?: string;
  readonly deadlineInMs?: number;
  readonly bytes?: number;
  readonly cancellation?: Cancellation;
}

export interface RigParts {
  readonly random?: Random;
  readonly previous?: PacingRig;
  /** Identities of the upstream's own credentials, by name. */
  readonly keys?: Readonly<Record<string, string>>;
}

/** The first in line goes at once, and those behind it in even steps. */
const EVENLY: Random = { next: () => 0.5 };

export class PacingRig {
  readonly kit: Kit;
  readonly policy: Pacing;

  constructor(options: object = {}, given: RigParts = {}) {
    this.kit = given.previous?.kit ?? kit();
    const credentials = Object.entries(given.keys ?? {}).map(([name, id]) => ({ name, id }));
    const deps = { ...this.kit.deps, credentials, random: given.random ?? EVENLY };
    this.policy = new Pacing(pacing.schema.parse(options), deps, given.previous?.policy);
  }

  get clock(): Kit['clock'] {
    return this.kit.clock;
  }

  get #now(): number {
    return this.clock.now() - 1_000;
  }

  /** Starts a call whose end is the test's business. */
  start(step: Step<Exchange> = respond(), parts: CallParts = {}): Call {
    const { priority, deadlineInMs, bytes, cancellation } = parts;
    const script = new Script<Exchange>(this.clock, step);
    const exchange = exchangeAt(this.clock, {
      request: { method: 'POST', headers: priority === undefined ? [] : ['X-Priority', priority] },
      ...(bytes !== undefined && { body: bytesBody(new Uint8Array(bytes)) }),
      ...(cancellation && { cancellation }),
    });
    if (deadlineInMs !== undefined) exchange.deadlineAt = this.clock.now() + deadlineInMs;
    let outcome: Outcome | undefined;
    void this.policy.run(exchange, script.next, exchange.cancellation).then((settled) => (outcome = settled));
    const wentAt = (): number | undefined => {
      const at = script.calls[0]?.at;
      return at === undefined ? undefined : at - 1_000;
    };
    return { exchange, outcome: () => outcome, wentAt };
  }

  /** A call that is over, its body included. */
  async call(step: Step<Exchange> = respond(), parts: CallParts = {}): Promise<Call> {
    const call = this.start(step, parts);
    await settle();
    const outcome = call.outcome();
    if (outcome) finish(outcome);
    return call;
  }

  /** An answer to an attempt with the credential of that name. */
  answerTo(key: string, status: number, headers: readonly string[] = []): (exchange: Exchange) => Outcome {
    return (exchange) => {
      const attempt = Object.assign(attemptAt(this.clock, exchange), { credential: key });
      return respond(status, { attempt: attempt.number, headers });
    };
  }

  /** Lets the provider say what is left. */
  async hear(remaining: number, reset: string, limit = 10): Promise<void> {
    await this.call(respond(200, { headers: requestsLeft(remaining, reset, limit) }));
  }

  /** Milliseconds from the start of the rig. */
  async until(ms: number): Promise<void> {
    await this.clock.advance(ms - this.#now);
  }
}

export const requestsLeft = (remaining: number, reset: string, limit = 10): string[] => [
  ...['x-ratelimit-limit-requests', String(limit), 'x-ratelimit-remaining-requests', String(remaining)],
  ...['x-ratelimit-reset-requests', reset],
];
