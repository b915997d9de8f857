/** What a script is made of: steps, each one way to treat a request or a fresh connection. */
import type { Socket } from 'node:net';
import type { RecordedRequest } from './recorded-request.ts';
import type { UpstreamExchange } from './upstream-exchange.ts';

/** Treats one request. */
export interface RequestStep {
  /** For messages. */
  readonly name: string;
  /** `head`: runs as soon as the head is read, while the body still comes in; `body`: once the body is complete. */
  readonly startsAt: 'head' | 'body';
  /** The exchange is over when this settles; the connection then takes the next request unless the step ended it. */
  run(exchange: UpstreamExchange): Promise<void> | void;
}

/** Treats one connection, before a byte of it is read. */
export interface AcceptStep {
  readonly name: string;
  readonly startsAt: 'accept';
  run(tcp: Socket): void;
}

export type Step = RequestStep | AcceptStep;

/** Hands out steps. Accept steps are asked for as a connection opens, the others as a request's head is read. */
export interface StepSource {
  /** @param connection number of the connection, from 1 */
  onAccept(connection: number): AcceptStep | undefined;
  onRequest(request: RecordedRequest): RequestStep;
}

/**
 * A list is consumed one step a request (an accept step: a connection) and its last step repeats; a function is asked at
 * each request's head with `n` counting from 1.
 */
export type Script = readonly Step[] | ((request: RecordedRequest, n: number) => Step) | StepSource;

export function toSource(script: Script): StepSource {
  if (typeof script === 'function') return functionSource(script);
  if ('onRequest' in script) return script;
  return listSource(script);
}

/** The first list is for the first connection, and so on; the last one is for all later connections. */
export function perConnection(...lists: readonly (readonly Step[])[]): StepSource {
  const sources = new Map<number, StepSource>();
  const sourceOf = (connection: number): StepSource => {
    const list = lists[Math.min(connection, lists.length) - 1] ?? [];
    const source = sources.get(connection) ?? listSource(list);
    sources.set(connection, source);
    return source;
  };
  return {
    onAccept: (connection) => sourceOf(connection).onAccept(connection),
    onRequest: (request) => sourceOf(request.connection).onRequest(request),
  };
}

function listSource(steps: readonly Step[]): StepSource {
  let next = 0;
  const peek = (): Step | undefined => steps[Math.min(next, steps.length - 1)];
  return {
    onAccept: () => {
      const step = peek();
      if (step?.startsAt !== 'accept') return undefined;
      next += 1;
      return step;
    },
    onRequest: () => {
      const step = peek();
      next += 1;
      return requestStep(step);
    },
  };
}

function functionSource(choose: (request: RecordedRequest, n: number) => Step): StepSource {
  return { onAccept: () => undefined, onRequest: (request) => requestStep(choose(request, request.number)) };
}

function requestStep(step: Step | undefined): RequestStep {
  if (step === undefined) throw new Error('the script is empty');
  if (step.startsAt === 'accept')
    throw new Error(`${step.name} acts on connections: put it in a list, not after a request`);
  return step;
}
