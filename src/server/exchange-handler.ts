/** One request from its head to the end of its answer: check, route, run the pipeline, respond, tell what happened. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Attempt, Exchange } from '../core/exchange.ts';
import type { Outcome, RejectionOutcome, ResponseOutcome } from '../core/outcome.ts';
import type { Reason } from '../core/reasons.ts';
import { verdictOf } from '../core/verdict.ts';
import { generic } from '../dialects/generic.ts';
import type { RouteMatch, Runtime } from '../runtime/runtime.ts';
import { bodyOf, exchangeOf } from './admit.ts';
import type { Admission, AdmitSettings } from './admit.ts';
import { sendBytes, sendResponse, withExchangeHeaders } from './client-response.ts';
import { drainUpload } from './drain-upload.ts';
import { toldEndpoint } from './endpoint-header.ts';
import { Ending } from './ending.ts';
import { newRequestId } from './identity.ts';
import { localAnswer } from './local-answer.ts';
import { ClientBody } from './request-body.ts';
import type { BodyProblem, ReplayMemory } from './request-body.ts';
import type { UploadWatch } from './upload-watch.ts';
import { originForm, readRequest } from './request-facts.ts';
import type { RequestFacts } from './request-facts.ts';
import { trailOf } from './trail.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** A request that never became an exchange. */
    'request-refused': {
      readonly reason: Reason;
      readonly detail: string;
      readonly method: string;
      readonly requestId: string;
    };
    /** A bug: something threw that must not. */
    'internal-error': { readonly where: string; readonly error: Error };
  }
}

export interface HandlerDeps {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly runtime: () => Runtime;
  readonly settings: () => AdmitSettings;
  readonly memory: ReplayMemory;
  readonly uploads: UploadWatch;
  readonly draining: () => boolean;
}

/** Where a request came in: the shared listener, or the one that belongs to an upstream. */
export interface Entrance {
  readonly dedicatedTo: string | undefined;
}

/** The upstream switched protocols: the listener joins the two connections. */
export interface TunnelStart {
  readonly outcome: ResponseOutcome;
  readonly exchange: Exchange;
  readonly headers: readonly string[];
  readonly idleMs: number;
}

const REASON_OF_PROBLEM: Readonly<Record<BodyProblem, Reason>> = {
  'client-aborted': 'client_aborted',
  'too-large': 'request_too_large',
  'client-idle': 'request_timeout',
};

const rejectedByServer = (reason: Reason): RejectionOutcome => ({
  kind: 'rejection',
  reason,
  by: 'server',
  verdict: verdictOf('refused'),
});

export class ExchangeHandler {
  readonly #deps: HandlerDeps;
  readonly #active = new Set<Cancellation>();
  #idleListeners: (() => void)[] = [];
  /** Connections with an ambiguous request: what follows it may be a part of it. */
  readonly #distrusted = new WeakSet<Socket>();

  constructor(deps: HandlerDeps) {
    this.#deps = deps;
  }

  get activeCount(): number {
    return this.#active.size;
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#active.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleListeners.push(resolve));
  }

  /** Breaks off everything that is still under way. */
  cancelAll(): void {
    for (const cancellation of [...this.#active]) cancellation.cancel('shutdown');
  }

  /** Protocols that the upstream which the request is for may switch to, in lower case. */
  upgradesFor({ url = '' }: IncomingMessage, entrance: Entrance): readonly string[] {
    return this.#match(originForm(url) ?? '', entrance)?.upstream.settings.upgrades ?? [];
  }

  /**
   * Never rejects. `upgrade` is the protocol that the client wants to switch to.
   * @returns the two ends to join when the upstream switched protocols; else everything is answered already
   */
  handle(
    req: IncomingMessage,
    res: ServerResponse,
    entrance: Entrance,
    upgrade?: string,
  ): Promise<TunnelStart | undefined> {
    if (this.#distrusted.has(req.socket)) {
      res.destroy();
      return Promise.resolve(undefined);
    }
    const facts = readRequest(req, this.#deps.settings().agentHeader);
    if ('problem' in facts) return this.#refuse(req, res, facts.reason, facts.problem);
    const match = this.#match(facts.target, entrance);
    if (!match) return this.#refuse(req, res, 'no_route', 'no route matches this path');
    if (hasBeenHere(facts, this.#deps.settings().pseudonym))
      return this.#refuse(req, res, 'loop_detected', 'the Via field names this sidecar');
    return this.#run({ req, res, facts, match, upgrade });
  }

  async #run(admission: Admission): Promise<TunnelStart | undefined> {
    const { res, match } = admission;
    const cancellation = new Cancellation();
    try {
      const body = bodyOf(admission, this.#deps);
      const exchange = exchangeOf(admission, body, cancellation, this.#deps);
      const ending = this.#begin(res, exchange, cancellation);
      if (body instanceof ClientBody) {
        await body.ready();
        body.onProblem(() => cancellation.cancel('client-aborted'));
      }
      const outcome = cancellation.cancelled ? undefined : await this.#send(match, exchange, cancellation);
      const problem = body instanceof ClientBody ? body.problem : undefined;
      return this.#respond(admission, exchange, { outcome, ending, problem });
    } catch (error) {
      // Nothing below may throw; what does is a bug, and must not take other exchanges with it.
      this.#deps.emit('internal-error', { where: 'exchange', error: error as Error });
      cancellation.cancel('superseded');
      res.destroy();
      return undefined;
    }
  }

  #send({ upstream, toAll }: RouteMatch, exchange: Exchange, cancellation: Cancellation): Promise<Outcome> {
    return toAll ? upstream.sendToAll(exchange, cancellation) : upstream.send(exchange, cancellation);
  }

  /** Starts to watch the client's connection; the exchange ends when it does. */
  #begin(res: ServerResponse, exchange: Exchange, cancellation: Cancellation): Ending {
    const ending = new Ending(exchange, this.#deps.clock, this.#deps.emit);
    this.#active.add(cancellation);
    this.#deps.emit('exchange-started', { exchange });
    res.on('close', () => {
      const delivered = res.writableFinished;
      this.#ended(cancellation);
      if (!delivered) cancellation.cancel('client-aborted');
      if (exchange.body instanceof ClientBody) exchange.body.release(delivered);
      ending.clientClosed(delivered, res.headersSent ? res.statusCode : undefined);
    });
    return ending;
  }

  #ended(cancellation: Cancellation): void {
    this.#active.delete(cancellation);
    if (this.#active.size > 0) return;
    const listeners = this.#idleListeners;
    this.#idleListeners = [];
    for (const listener of listeners) listener();
  }

  #respond(
    admission: Admission,
    exchange: Exchange,
    {
      outcome,
      ending,
      problem,
    }: { outcome: Outcome | undefined; ending: Ending; problem: BodyProblem | undefined },
  ): TunnelStart | undefined {
    const { res, facts, match } = admission;
    // The client's own doing outweighs what the pipeline made of it.
    const result =
      outcome?.kind === 'response'
        ? outcome
        : (problemOutcome(problem) ?? outcome ?? rejectedByServer('client_aborted'));
    ending.outcome(result);
    const about = aboutExchange(exchange, result, facts.debug);
    if (match.upstream.settings.endpointHeader !== undefined) about.push(...toldEndpoint(exchange, result));
    if (result.kind !== 'response') {
      if (!res.destroyed) this.#answer(res, exchange, result, about);
    } else if (res.destroyed) result.body.discard();
    else if (result.tunnel)
      return { outcome: result, exchange, headers: about, idleMs: match.upstream.settings.tunnelIdleMs };
    else this.#deliver(res, exchange, result, about);
    return undefined;
  }

  #deliver(
    res: ServerResponse,
    exchange: Exchange,
    { head, body, from }: ResponseOutcome,
    about: readonly string[],
  ): void {
    // Of a broadcast, others may yet be asked.
    if (exchange.body instanceof ClientBody && from !== 'broadcast') exchange.body.forget();
    try {
      const { status, statusText, headers } = head;
      sendResponse(res, { status, statusText, headers: withExchangeHeaders(headers, about) }, body);
    } catch (error) {
      // Our server refuses to write what its own parser would not read; nothing has been sent then.
      body.discard();
      const detail = (error as Error).message;
      const refused: RejectionOutcome = { ...rejectedByServer('protocol_error'), detail };
      if (res.headersSent) res.destroy();
      else this.#answer(res, exchange, refused, about);
    }
  }

  #answer(
    res: ServerResponse,
    exchange: Exchange,
    outcome: Exclude<Outcome, ResponseOutcome>,
    about: readonly string[],
  ): void {
    if (outcome.reason === 'client_aborted') {
      res.destroy();
      return;
    }
    const { head, body } = localAnswer({
      reason: outcome.reason,
      dialect: exchange.upstream.dialect,
      pseudonym: this.#deps.settings().pseudonym,
      requestId: exchange.id,
      detail: outcome.detail,
      retryAfterMs: outcome.kind === 'rejection' ? outcome.retryAfterMs : outcome.verdict.retryAfterMs,
      lastAttempt: attemptBehind(exchange, outcome),
      call: exchange.call,
      sent: sentBy(exchange, outcome),
      verdictClass: outcome.verdict.class,
      ...(outcome.kind === 'failure' ? { said: outcome.json } : { headers: outcome.headers }),
    });
    sendBytes(res, { ...head, headers: [...head.headers, ...about] }, body);
  }

  #refuse(req: IncomingMessage, res: ServerResponse, reason: Reason, detail: string): Promise<undefined> {
    const requestId = newRequestId();
    this.#deps.emit('request-refused', { reason, detail, method: req.method ?? '', requestId });
    const { head, body } = localAnswer({
      reason,
      dialect: generic,
      pseudonym: this.#deps.settings().pseudonym,
      requestId,
      detail,
    });
    if (reason === 'bad_request') this.#distrusted.add(req.socket);
    else drainUpload(req, this.#deps.clock);
    const headers = reason === 'bad_request' ? [...head.headers, 'connection', 'close'] : head.headers;
    sendBytes(res, { ...head, headers: [...headers, 'x-outrigger-request-id', requestId] }, body);
    return Promise.resolve(undefined);
  }

  #match(target: string, entrance: Entrance): RouteMatch | undefined {
    const runtime = this.#deps.runtime();
    return entrance.dedicatedTo === undefined
      ? runtime.match(target)
      : runtime.matchDedicated(entrance.dedicatedTo, target);
  }
}

const problemOutcome = (problem: BodyProblem | undefined): RejectionOutcome | undefined =>
  problem && rejectedByServer(REASON_OF_PROBLEM[problem]);

/** Via lists one `protocol received-by` per hop (RFC 9110 §7.6.3). */
function hasBeenHere({ via }: RequestFacts, pseudonym: string): boolean {
  if (via === undefined || !via.includes(pseudonym)) return false;
  return via.split(',').some((hop) => hop.trim().split(/\s+/)[1] === pseudonym);
}

/** Whatever the last attempt came to: an earlier one may have been heard. */
function sentBy({ attempts }: Exchange, outcome: Exclude<Outcome, ResponseOutcome>): 'no' | 'maybe' {
  if (attempts.some(({ sent, phase }) => (sent ?? (phase === 'connecting' ? 'no' : 'maybe')) === 'maybe'))
    return 'maybe';
  return outcome.kind === 'failure' && attempts.length === 0 ? outcome.requestSent : 'no';
}

/** The attempt that an answer speaks of: after a ladder, the newest one need not be it. */
function attemptBehind({ attempts, upstream }: Exchange, outcome: Outcome): Attempt | undefined {
  if (outcome.kind !== 'rejection' && outcome.attempt !== undefined) return attempts[outcome.attempt - 1];
  if (outcome.kind === 'response') return undefined;
  return attempts.findLast((attempt) => attempt.exchange.upstream === upstream);
}

/** An error to an SDK: with our retries behind it, its own would only multiply them. */
const isFinal = ({ upstream, ownsRetries }: Exchange, outcome: Outcome): boolean =>
  ownsRetries &&
  upstream.dialect.name !== 'generic' &&
  (outcome.kind !== 'response' || outcome.head.status >= 400);

/** What may stand in a header of ours: the upstream chose the name. */
const PRINTABLE = /^[\x21-\x7e]{1,128}$/;

/** What every answer says about its exchange, whoever made it. */
function aboutExchange(exchange: Exchange, outcome: Outcome, debug: boolean): string[] {
  const about = [
    'x-outrigger-request-id',
    exchange.id,
    'x-outrigger-attempts',
    String(exchange.attempts.length),
  ];
  if (!exchange.body.replayable) about.push('x-outrigger-replay', 'skipped');
  if (outcome.kind === 'response' && outcome.from !== 'upstream')
    about.push('x-outrigger-source', outcome.from);
  const behind = attemptBehind(exchange, outcome);
  if (behind && behind.exchange.upstream !== exchange.upstream)
    about.push('x-outrigger-upstream', behind.exchange.upstream.name);
  const model = outcome.kind === 'response' ? behind?.answer?.model : undefined;
  if (model !== undefined && PRINTABLE.test(model)) about.push('x-outrigger-model', model);
  // SDKs that know the field leave retrying to us, who have just done what can be done.
  if (isFinal(exchange, outcome)) about.push('x-should-retry', 'false');
  if (debug) about.push('x-outrigger-trail', trailOf(exchange));
  return about;
}
