/** A policy with keys, clients that send them, and an upstream whose answers a test writes. */
import type { z } from 'zod';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import { headerValue } from '../../src/core/header-list.ts';
import type { Outcome, ResponseOutcome } from '../../src/core/outcome.ts';
import type { Policy, PolicyDeps } from '../../src/core/policy.ts';
import { idempotency } from '../../src/policies/idempotency.ts';
import { settle } from '../support/fake-clock.ts';
import { Script, bytesBody, exchangeAt, kit, respond } from '../support/policy-kit.ts';
import type { ExchangeParts, Kit, Step } from '../support/policy-kit.ts';
import { PacedSource, read } from '../streams/shared-rig.ts';
import type { PausingSink } from '../streams/shared-rig.ts';

export type Options = z.input<typeof idempotency.schema>;

export interface CallParts extends ExchangeParts {
  /** Of the request. */
  readonly text?: string;
  readonly deadlineMs?: number;
}

export interface Sent {
  readonly exchange: Exchange;
  readonly cancellation: Cancellation;
  /** Undefined while there is none. */
  outcome: Outcome | undefined;
  readonly done: Promise<Outcome>;
}

export class IdempotencyRig {
  readonly kit: Kit;
  readonly script: Script<Exchange>;
  policy: Policy<Exchange>;

  constructor(options: Options, ...steps: readonly Step<Exchange>[]) {
    this.kit = kit();
    this.script = new Script<Exchange>(this.kit.clock, ...steps);
    this.policy = this.build(options);
  }

  build(options: Options, previous?: Policy<Exchange>, deps: Partial<PolicyDeps> = {}): Policy<Exchange> {
    return idempotency.build(idempotency.schema.parse(options), { ...this.kit.deps, ...deps }, previous);
  }

  /** Sends a POST with a key. */
  send(key: string | undefined, parts: CallParts = {}): Sent {
    const { text = 'body', deadlineMs, request, ...rest } = parts;
    const cancellation = new Cancellation();
    const headers = [...(request?.headers ?? []), ...(key === undefined ? [] : ['Idempotency-Key', key])];
    const exchange = exchangeAt(this.kit.clock, {
      body: bytesBody(Buffer.from(text)),
      cancellation,
      ...rest,
      request: { method: 'POST', ...request, headers },
    });
    if (deadlineMs !== undefined) exchange.deadlineAt = this.kit.clock.now() + deadlineMs;
    const done = this.policy.run(exchange, this.script.next, cancellation);
    const sent: Sent = { exchange, cancellation, done, outcome: undefined };
    void done.then((outcome) => (sent.outcome = outcome));
    return sent;
  }

  /** Sends one and waits for all that can happen without time. */
  async settled(...args: Parameters<IdempotencyRig['send']>): Promise<Sent> {
    const sent = this.send(...args);
    await settle();
    return sent;
  }

  /** Sends one and reads its answer to the end. */
  async text(...args: Parameters<IdempotencyRig['send']>): Promise<string> {
    return reading(await this.settled(...args)).text;
  }

  get runs(): number {
    return this.script.calls.length;
  }

  get results(): string[] {
    return this.kit.events.of('idempotency-decided').map(({ result }) => result);
  }

  get ends(): string[] {
    return this.kit.events.of('idempotency-ended').map(({ end }) => end);
  }
}

/** Starts to read the answer. */
export function reading(sent: Sent): PausingSink {
  return read(response(sent).body);
}

export function response({ outcome }: Sent): ResponseOutcome {
  if (outcome?.kind !== 'response') throw new Error(`expected a response, got ${outcome?.kind}`);
  return outcome;
}

/** Reason, or status with `replayed` where it was not run for this client. */
export function summary({ outcome }: Sent): string | undefined {
  if (outcome?.kind !== 'response') return outcome?.reason;
  const replayed = headerValue(outcome.head.headers, 'idempotent-replayed') === 'true';
  return `${outcome.head.status}${replayed ? ' replayed' : ''}`;
}

/** An answer that is there as a whole. */
export function answer(text: string, status = 200): ResponseOutcome {
  const { outcome, source } = stream(status);
  source.push(text);
  source.finish();
  return outcome;
}

/** An answer whose body the test writes. */
export function stream(status = 200, headers: readonly string[] = ['content-type', 'text/event-stream']) {
  const source = new PacedSource();
  return { source, outcome: respond(status, { body: source, headers }) };
}
