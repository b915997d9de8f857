/** The rungs of a fallback ladder: what one can be, and how it is taken. */
import { z } from 'zod';
import { rewriteBody, rewriteRequest, withoutCredentialParameters } from '../algorithms/rewrite-request.ts';
import type { RequestRewrite } from '../algorithms/rewrite-request.ts';
import { BytesBody } from '../core/bytes-body.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Exchange, NextTry } from '../core/exchange.ts';
import { endToEndHeaders, hasHeader, headerValue as headerOf, withoutHeaders } from '../core/header-list.ts';
import type { Outcome, ResponseHead } from '../core/outcome.ts';
import type { PolicyDeps } from '../core/policy.ts';
import type { UpstreamIdentity } from '../core/upstream-identity.ts';
import { ANSWER_CLASSES, verdictOf } from '../core/verdict.ts';
import type { VerdictClass } from '../core/verdict.ts';
import { fileContents } from '../schema/file-contents.ts';
import { headerName, headerValue, positiveDuration, secret } from '../schema/scalars.ts';

export const STEP_CLASSES = z.enum([...ANSWER_CLASSES, 'refused']).exclude(['ok']);

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

const stepConditions = {
  for: z
    .array(STEP_CLASSES)
    .min(1)
    .optional()
    .describe(
      'Classes of outcomes that this step is for, and only these, whatever `on` says: a model with a larger window for `context_length`. Default: what `on` says.',
    ),
};

export const upstreamStep = z.strictObject({
  upstream: z.string().min(1).describe('Another upstream: its own policies, endpoints and credentials.'),
  rewrite: rewriteSchema,
  forwardCredentials: z
    .boolean()
    .default(false)
    .describe('Send the client’s own credentials there, too. Only for upstreams of the same owner.'),
  capabilities: z
    .array(z.string().min(1))
    .optional()
    .describe(
      'What the model there can do beyond text, such as tools, vision, audio, files or json_schema. A call that needs anything else skips this step. Default: everything.',
    ),
  ...stepConditions,
});

export const staticStep = z.strictObject({
  static: z
    .strictObject({
      status: z.number().int().min(200).max(599).default(200).describe('Status of the answer.'),
      headers: z.record(headerName, headerValue).default({}).describe('Its header fields.'),
      body: z.string().optional().describe('Its body as text.'),
      json: z.json().optional().describe('Its body as a JSON value.'),
      file: fileContents.optional().describe('A file with its body, read with the configuration.'),
      text: z
        .string()
        .min(1)
        .optional()
        .describe(
          'What the answer says, in the form of the upstream’s dialect: as JSON or as a stream of events, whichever was asked for.',
        ),
    })
    .refine(
      (answer) =>
        [answer.body, answer.json, answer.file, answer.text].filter((part) => part !== undefined).length <= 1,
      { error: 'expected at most one of body, json, file and text' },
    )
    .describe('An answer that is always there.'),
  ...stepConditions,
});

export const staleStep = z.strictObject({
  cache: z
    .literal('stale')
    .describe('What the policy cache of this upstream has, although it is not fresh any more.'),
  maxStale: positiveDuration
    .optional()
    .describe('Only what was fresh that long ago. Default: whatever the cache still has.'),
  ...stepConditions,
});

/** One rung. */
export interface Step {
  readonly name: string;
  /** Classes that it is for; undefined: whatever leads to the ladder. */
  readonly classes: ReadonlySet<VerdictClass> | undefined;
  /** Classes that it is not for unless it names them. */
  readonly except?: ReadonlySet<VerdictClass>;
  /** Everything this step needs of the exchange, its body above all; undefined when it cannot serve it. */
  prepare(exchange: Exchange): Promise<Taker | undefined>;
}

/** A rung that can be taken. */
export type Taker = (cancellation: Cancellation) => Promise<Outcome>;

export class UpstreamStep implements Step {
  readonly name: string;
  readonly classes: Step['classes'];
  readonly #capabilities: ReadonlySet<string> | undefined;
  readonly #rewrite: RequestRewrite;
  readonly #forwardCredentials: boolean;
  readonly #borrowed: ReadonlySet<string>;
  readonly #sendTo: PolicyDeps['sendTo'];

  constructor(step: z.output<typeof upstreamStep>, deps: PolicyDeps) {
    this.name = step.upstream;
    this.classes = step.for && new Set(step.for);
    this.#capabilities = step.capabilities && new Set(step.capabilities);
    const { path, setHeaders, removeHeaders, body } = step.rewrite;
    this.#rewrite = {
      path,
      setHeaders,
      body,
      removeHeaders: new Set(removeHeaders.map((name) => name.toLowerCase())),
    };
    this.#forwardCredentials = step.forwardCredentials;
    this.#borrowed = new Set(Object.keys(setHeaders).map((name) => name.toLowerCase()));
    this.#sendTo = deps.sendTo;
  }

  async prepare(exchange: Exchange): Promise<Taker | undefined> {
    const target = this.#sendTo(this.name);
    if (!target || exchange.visited.includes(this.name) || exchange.request.upgrade !== undefined)
      return undefined;
    if (this.#capabilities && exchange.call.needs.some((need) => !this.#capabilities?.has(need)))
      return undefined;
    if (exchange.spend?.allows(exchange, this.#tryAt(target.identity)) === false) return undefined;
    const body = await rewriteBody(exchange.body, this.#rewrite.body);
    if (!body?.replayable) return undefined;
    const clean = this.#forwardCredentials ? exchange.request : withoutCredentials(exchange);
    return (cancellation) => {
      const request = rewriteRequest(clean, this.#rewrite);
      const redirected = exchange.redirectedTo(target.identity, request, body);
      redirected.borrowedHeaders = this.#borrowed;
      return target.send(redirected, cancellation);
    };
  }

  #tryAt(upstream: UpstreamIdentity): NextTry {
    const { model } = this.#rewrite.body;
    return { by: 'fallback', upstream, ...(typeof model === 'string' && { model }) };
  }
}

/** One upstream must never see another's secret. */
function withoutCredentials({ request, upstream, borrowedHeaders }: Exchange): Exchange['request'] {
  const clean = withoutHeaders(request.headers, upstream.credentialHeaders);
  return {
    ...request,
    target: withoutCredentialParameters(request.target),
    headers: withoutHeaders(clean, borrowedHeaders),
  };
}

/** Whoever is not let in any more is not to be answered from before. */
const NOT_LET_IN: ReadonlySet<VerdictClass> = new Set<VerdictClass>(['auth']);

/** The cache stands inside the ladder: it leaves on the exchange what it has. */
export class StaleStep implements Step {
  readonly name = 'cache';
  readonly classes: Step['classes'];
  readonly except = NOT_LET_IN;
  readonly #maxStaleMs: number;

  constructor(step: z.output<typeof staleStep>) {
    this.classes = step.for && new Set(step.for);
    this.#maxStaleMs = step.maxStale ?? Number.POSITIVE_INFINITY;
  }

  async prepare({ staleAnswer }: Exchange): Promise<Taker | undefined> {
    if (!staleAnswer || staleAnswer.staleForMs() > this.#maxStaleMs) return undefined;
    return async (cancellation) => staleAnswer.open(cancellation);
  }
}

/** Statuses whose answers have no body (RFC 9110 §6.4.1). */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);
/** Framing is ours to say. */
const FRAMING: ReadonlySet<string> = new Set(['content-length']);

export class StaticStep implements Step {
  readonly name = 'static';
  readonly classes: Step['classes'];
  readonly #answer: StaticAnswer;
  readonly #ready: { readonly head: ResponseHead; readonly bytes: Buffer };

  constructor(step: z.output<typeof staticStep>) {
    this.classes = step.for && new Set(step.for);
    this.#answer = step.static;
    this.#ready = this.#headed(typeOf(this.#answer), bytesOf(this.#answer));
  }

  async prepare({ upstream: { dialect }, call }: Exchange): Promise<Taker | undefined> {
    const { text } = this.#answer;
    const said = text === undefined ? undefined : dialect.renderAnswer?.(text, call);
    // Words are no answer to this call: nothing in them would be what was asked for.
    if (text !== undefined && dialect.renderAnswer && !said) return undefined;
    const type = said && headerOf(said.headers, 'content-type');
    const { head, bytes } = said
      ? this.#headed(type ?? 'application/json', Buffer.from(said.body, 'utf8'))
      : this.#ready;
    return async () => ({
      kind: 'response',
      from: 'fallback',
      head,
      body: new BytesBody(bytes),
      verdict: verdictOf('ok'),
    });
  }

  #headed(type: string, body: Buffer): { head: ResponseHead; bytes: Buffer } {
    const { status } = this.#answer;
    const bodiless = BODILESS.has(status);
    const bytes = bodiless ? Buffer.alloc(0) : body;
    const headers = endToEndHeaders(Object.entries(this.#answer.headers).flat(), FRAMING);
    if (!bodiless) {
      if (!hasHeader(headers, 'content-type')) headers.push('content-type', type);
      headers.push('content-length', String(bytes.length));
    }
    return { head: { status, statusText: '', headers }, bytes };
  }
}

type StaticAnswer = z.output<typeof staticStep>['static'];

const typeOf = ({ json }: StaticAnswer): string =>
  json === undefined ? 'text/plain; charset=utf-8' : 'application/json';

function bytesOf({ body, json, file, text }: StaticAnswer): Buffer {
  if (file !== undefined) return file.bytes;
  return Buffer.from(json === undefined ? (body ?? text ?? '') : JSON.stringify(json), 'utf8');
}
