/**
 * A ladder of other answers for when the upstream has none: another upstream, then a static one. It stands outside
 * everything, so that it can answer for any ending below, refusals and exhausted time included.
 */
import { z } from 'zod';
import { rewriteBody, rewriteRequest, withoutCredentialParameters } from '../algorithms/rewrite-request.ts';
import type { RequestRewrite } from '../algorithms/rewrite-request.ts';
import { BytesBody } from '../core/bytes-body.ts';
import { Cancellation, unlessCancelled } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Exchange, UpstreamIdentity } from '../core/exchange.ts';
import { endToEndHeaders, hasHeader, withoutHeaders } from '../core/header-list.ts';
import { discard, whenOver } from '../core/outcome.ts';
import type { Outcome, ResponseHead } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { REASONS } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';
import type { NextTry } from '../core/spend.ts';
import { ANSWER_CLASSES, verdictOf } from '../core/verdict.ts';
import { fileContents } from '../schema/file-contents.ts';
import { headerName, headerValue, positiveDuration, secret } from '../schema/scalars.ts';
import { statusMatcher } from '../algorithms/status-ranges.ts';
import { statusRange } from '../schema/status.ts';

export type FallbackTrigger = Reason | 'status' | 'slow';

declare module '../core/events.ts' {
  interface EventMap {
    /** A step of the ladder was taken. */
    'fallback-taken': {
      readonly exchange: Exchange;
      readonly upstream: string;
      /** `static`, or the name of the upstream that was asked. */
      readonly step: string;
      readonly trigger: FallbackTrigger;
      readonly answered: boolean;
    };
  }
}

const triggerSchema = z
  .strictObject({
    classes: z
      .array(z.enum([...ANSWER_CLASSES, 'refused']).exclude(['ok']))
      .default(['transient', 'throttled', 'overloaded', 'quota', 'auth', 'refused'])
      .describe('Classes of outcomes that lead to the ladder.'),
    statuses: z.array(statusRange).default([]).describe('Response statuses that do so whatever their class.'),
    reasons: z
      .array(z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]))
      .default(['tls_certificate_error'])
      .describe('Failure and refusal reasons that do so whatever their class.'),
  })
  .prefault({})
  .describe('What leads to the ladder, and from one step to the next.');

const rewriteSchema = z
  .strictObject({
    path: z
      .array(
        z.strictObject({
          from: z.string().startsWith('/').describe('Start of the path to replace.'),
          to: z.string().startsWith('/').describe('What to put there.'),
        }),
      )
      .default([])
      .describe('Replaces the start of the path.'),
    setHeaders: z
      .record(headerName, secret(headerValue))
      .default({})
      .describe('Fields to set. Their values are never printed.'),
    removeHeaders: z.array(headerName).default([]).describe('Fields to remove.'),
    body: z
      .record(z.string(), z.json())
      .default({})
      .describe('Top-level fields to set in a JSON body, such as model; null removes one.'),
  })
  .prefault({})
  .describe('Changes to the request for this step.');

const upstreamStep = z.strictObject({
  upstream: z.string().min(1).describe('Another upstream: its own policies, endpoints and credentials.'),
  rewrite: rewriteSchema,
  forwardCredentials: z
    .boolean()
    .default(false)
    .describe('Send the client’s own credentials there, too. Only for upstreams of the same owner.'),
});

const staticStep = z.strictObject({
  static: z
    .strictObject({
      status: z.number().int().min(200).max(599).default(200).describe('Status of the answer.'),
      headers: z.record(headerName, headerValue).default({}).describe('Its header fields.'),
      body: z.string().optional().describe('Its body as text.'),
      json: z.json().optional().describe('Its body as a JSON value.'),
      file: fileContents.optional().describe('A file with its body, read with the configuration.'),
    })
    .refine(
      (answer) => [answer.body, answer.json, answer.file].filter((part) => part !== undefined).length <= 1,
      { error: 'expected at most one of body, json and file' },
    )
    .describe('An answer that is always there.'),
});

const ladderSchema = z.strictObject({
  after: positiveDuration
    .optional()
    .describe('Take the ladder when the upstream has not begun to answer by then.'),
  on: triggerSchema,
  steps: z
    .array(z.union([upstreamStep, staticStep]))
    .min(1)
    .describe('Steps in order; the first that answers wins.'),
});

export const fallbackSchema = z
  .union([z.array(z.union([upstreamStep, staticStep])).min(1), ladderSchema])
  .describe('What to answer when the upstream cannot: a list of steps, or `after`, `on` and `steps`.');

export type FallbackOptions = z.output<typeof fallbackSchema>;
type Ladder = z.output<typeof ladderSchema>;

const ladderOf = (options: FallbackOptions): Ladder =>
  Array.isArray(options) ? { steps: options, on: triggerSchema.parse({}) } : options;

/** Names of the upstreams that a ladder may ask, in order. */
export const fallbackTargets = (options: FallbackOptions): string[] =>
  ladderOf(options).steps.flatMap((step) => ('upstream' in step ? [step.upstream] : []));

/** One rung. */
interface Step {
  readonly name: string;
  /** Everything this step needs of the exchange, its body above all; undefined when it cannot serve it. */
  prepare(exchange: Exchange): Promise<Taker | undefined>;
}

/** A rung that can be taken. */
type Taker = (cancellation: Cancellation) => Promise<Outcome>;

class Fallback implements Policy<Exchange> {
  readonly name = 'fallback';
  readonly #ladder: Ladder;
  readonly #steps: readonly Step[];
  readonly #deps: PolicyDeps;
  readonly #triggerStatus: (status: number) => boolean;

  constructor(options: FallbackOptions, deps: PolicyDeps) {
    this.#ladder = ladderOf(options);
    this.#deps = deps;
    this.#triggerStatus = statusMatcher(this.#ladder.on.statuses);
    this.#steps = this.#ladder.steps.map((step) =>
      'upstream' in step ? new UpstreamStep(step, deps) : new StaticStep(step),
    );
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    const { after } = this.#ladder;
    const primary = after === undefined ? cancellation : new Cancellation(cancellation);
    const pending = next(exchange, primary);
    const first = await (after === undefined
      ? pending
      : this.#inTime(pending, exchange, { after, primary, cancellation }));
    if (first === 'slow') return this.#climb(exchange, cancellation, { trigger: 'slow', worst: undefined });
    const trigger = this.#triggerOf(first);
    if (trigger === undefined || cancellation.cancelled) return first;
    return this.#climb(exchange, cancellation, { trigger, worst: first });
  }

  snapshot(): Snapshot {
    return { afterMs: this.#ladder.after ?? null, steps: this.#steps.map(({ name }) => name) };
  }

  dispose(): void {
    // Nothing is held.
  }

  /** The upstream's own outcome, or `slow` when it has not begun in time; it is given up then. */
  async #inTime(
    pending: Promise<Outcome>,
    exchange: Exchange,
    { after, primary, cancellation }: { after: number; primary: Cancellation; cancellation: Cancellation },
  ): Promise<Outcome | 'slow'> {
    const timer = new Cancellation(primary);
    const winner = await Promise.race([
      pending,
      sleep(this.#deps.clock, after, timer).then(
        (waited) => waited === 'elapsed' && this.#canServe(exchange),
      ),
    ]);
    timer.detach();
    timer.cancel('superseded');
    const tooSlow = winner === true;
    if (tooSlow) primary.cancel('superseded');
    const outcome = await pending;
    whenOver(outcome, () => primary.detach());
    if (!tooSlow || cancellation.cancelled) return outcome;
    discard(outcome);
    return 'slow';
  }

  /** Nobody gives up an answer that may come for a ladder without a step. */
  async #canServe(exchange: Exchange): Promise<boolean> {
    for (const step of this.#steps) if (await step.prepare(exchange)) return true;
    return false;
  }

  /** @param start.worst what to answer when no step can: the upstream's own ending, kept until then */
  async #climb(
    exchange: Exchange,
    cancellation: Cancellation,
    start: { trigger: FallbackTrigger; worst: Outcome | undefined },
  ): Promise<Outcome> {
    let { worst, trigger } = start;
    for (const step of this.#steps) {
      // A step may wait for the rest of an upload; whoever ends the exchange does not.
      const take = await unlessCancelled(step.prepare(exchange), cancellation);
      if (cancellation.cancelled) break;
      if (!take) continue;
      const outcome = await take(cancellation);
      const failed = this.#triggerOf(outcome);
      const { upstream, emit } = this.#deps;
      emit('fallback-taken', {
        exchange,
        upstream,
        step: step.name,
        trigger,
        answered: failed === undefined && outcome.verdict.class !== 'abandoned',
      });
      if (failed === undefined || cancellation.cancelled) {
        if (worst) discard(worst);
        return outcome;
      }
      trigger = failed;
      if (worst) discard(outcome);
      else worst = outcome;
    }
    return (
      worst ?? { kind: 'rejection', reason: 'no_endpoint', by: this.name, verdict: verdictOf('refused') }
    );
  }

  /** Undefined: this outcome is an answer. */
  #triggerOf(outcome: Outcome): FallbackTrigger | undefined {
    if (outcome.verdict.class === 'abandoned') return undefined;
    // What the operator wrote as the answer is one, whatever its status.
    if (outcome.kind === 'response' && outcome.from === 'fallback') return undefined;
    const { classes, reasons } = this.#ladder.on;
    const listed = (classes as readonly string[]).includes(outcome.verdict.class);
    if (outcome.kind === 'response')
      return listed || this.#triggerStatus(outcome.head.status) ? 'status' : undefined;
    return listed || reasons.includes(outcome.reason) ? outcome.reason : undefined;
  }
}

class UpstreamStep implements Step {
  readonly name: string;
  readonly #rewrite: RequestRewrite;
  readonly #forwardCredentials: boolean;
  readonly #sendTo: PolicyDeps['sendTo'];

  constructor(step: z.output<typeof upstreamStep>, deps: PolicyDeps) {
    this.name = step.upstream;
    const { path, setHeaders, removeHeaders, body } = step.rewrite;
    this.#rewrite = {
      path,
      setHeaders,
      body,
      removeHeaders: new Set(removeHeaders.map((name) => name.toLowerCase())),
    };
    this.#forwardCredentials = step.forwardCredentials;
    this.#sendTo = deps.sendTo;
  }

  async prepare(exchange: Exchange): Promise<Taker | undefined> {
    const target = this.#sendTo(this.name);
    if (!target || exchange.visited.includes(this.name) || exchange.request.upgrade !== undefined)
      return undefined;
    if (exchange.spend?.allows(exchange, this.#tryAt(target.identity)) === false) return undefined;
    const body = await rewriteBody(exchange.body, this.#rewrite.body);
    if (!body?.replayable) return undefined;
    const clean = this.#forwardCredentials ? exchange.request : withoutCredentials(exchange);
    return (cancellation) =>
      target.send(
        exchange.redirectedTo(target.identity, rewriteRequest(clean, this.#rewrite), body),
        cancellation,
      );
  }

  #tryAt(upstream: UpstreamIdentity): NextTry {
    const { model } = this.#rewrite.body;
    return { by: 'fallback', upstream, ...(typeof model === 'string' && { model }) };
  }
}

/** One upstream must never see another's secret. */
function withoutCredentials({ request, upstream }: Exchange): Exchange['request'] {
  return {
    ...request,
    target: withoutCredentialParameters(request.target),
    headers: withoutHeaders(request.headers, upstream.credentialHeaders),
  };
}

/** Statuses whose answers have no body (RFC 9110 §6.4.1). */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);
/** Framing is ours to say. */
const FRAMING: ReadonlySet<string> = new Set(['content-length']);

class StaticStep implements Step {
  readonly name = 'static';
  readonly #head: ResponseHead;
  readonly #bytes: Buffer;

  constructor({ static: answer }: z.output<typeof staticStep>) {
    this.#bytes = BODILESS.has(answer.status) ? Buffer.alloc(0) : bytesOf(answer);
    const headers = endToEndHeaders(Object.entries(answer.headers).flat(), FRAMING);
    if (!BODILESS.has(answer.status)) {
      if (!hasHeader(headers, 'content-type')) headers.push('content-type', typeOf(answer));
      headers.push('content-length', String(this.#bytes.length));
    }
    this.#head = { status: answer.status, statusText: '', headers };
  }

  async prepare(): Promise<Taker> {
    return async () => ({
      kind: 'response',
      from: 'fallback',
      head: this.#head,
      body: new BytesBody(this.#bytes),
      verdict: verdictOf('ok'),
    });
  }
}

const typeOf = ({ json }: z.output<typeof staticStep>['static']): string =>
  json === undefined ? 'text/plain; charset=utf-8' : 'application/json';

function bytesOf({ body, json, file }: z.output<typeof staticStep>['static']): Buffer {
  if (file !== undefined) return file.bytes;
  return Buffer.from(json === undefined ? (body ?? '') : JSON.stringify(json), 'utf8');
}

export const fallback: PolicyModule<Exchange, typeof fallbackSchema> = {
  name: 'fallback',
  key: 'fallback',
  schema: fallbackSchema,
  onByDefault: false,
  build: (options, deps) => new Fallback(options, deps),
};
