/** One request and its one answer, and the attempts made for it. All state of a request lives here. */
import type { Cancellation } from './cancellation.ts';
import { UNKNOWN_CALL } from './dialect.ts';
import type { AnswerFacts, CallFacts, Continuation } from './dialect.ts';
import type { Endpoint } from './endpoint.ts';
import type { HeaderList } from './header-list.ts';
import type { FailureOutcome, ResponseOutcome } from './outcome.ts';
import type { Reason } from './reasons.ts';
import type { RequestBody, RequestHead } from './request.ts';
import { jsonIn } from './request-bodies.ts';
import type { StaleAnswer } from './stale-answer.ts';
import { verdictOf } from './verdict.ts';
import type { Verdict } from './verdict.ts';
import type { UpstreamIdentity } from './upstream-identity.ts';
import type { Waste } from './waste.ts';

/** Where a request came from. */
export interface ClientAddress {
  /** IP address, or `unknown` once the connection is gone. */
  readonly address: string;
  /** It came by TLS. */
  readonly secure: boolean;
}

export interface ExchangeInit {
  readonly id: string;
  readonly traceId: string;
  readonly agentId: string | undefined;
  readonly route: string;
  readonly upstream: UpstreamIdentity;
  readonly request: RequestHead;
  readonly body: RequestBody;
  readonly startedAt: number;
  readonly cancellation: Cancellation;
  /** The caller's own bound in milliseconds from the start, where it gave one. */
  readonly callerTimeoutMs: number | undefined;
  /** How often the client's SDK says it has retried this call already. */
  readonly clientRetries: number;
  readonly client: () => ClientAddress;
  readonly onInformational: ((status: number, headers: HeaderList) => void) | undefined;
  /** Name or instance of the one endpoint that may be asked. Default: whichever is next. */
  readonly pinnedTo?: string | undefined;
}

/** What a call that is made in another's stead does not share with it. */
export interface Variation extends Partial<
  Pick<ExchangeInit, 'request' | 'body' | 'cancellation' | 'onInformational' | 'pinnedTo'>
> {
  /** Its attempts are not among those of the other; `told`: but told with them, each as soon as it begins. */
  readonly ownTrail?: boolean | 'told';
}

const NONE: ReadonlySet<string> = new Set();

/** What those who make tries want of the attempt that is made next. */
export interface NextAttempt {
  readonly backoffMs: number;
  readonly freshConnection: boolean;
  /** It races one that is under way: policies that would let it wait refuse it instead, and tell nobody else. */
  readonly spare?: boolean;
  /** Told of the attempt as soon as there is one. Must not throw. */
  readonly begun?: (attempt: Attempt) => void;
}

const FIRST_ATTEMPT: NextAttempt = { backoffMs: 0, freshConnection: false };

/** A try that somebody would like to make. */
export interface NextTry {
  readonly by: 'retry' | 'hedge' | 'fallback';
  /** Who would be asked. */
  readonly upstream: UpstreamIdentity;
  /** Model that would be asked for, where it is not the one that the request names. */
  readonly model?: string | undefined;
}

/** Says whether an exchange may spend more. Asked before every try but the first. */
export interface SpendGuard {
  allows(exchange: Exchange, next: NextTry): boolean;
}

export class Exchange {
  readonly id: string;
  readonly traceId: string;
  readonly agentId: string | undefined;
  readonly route: string;
  readonly upstream: UpstreamIdentity;
  readonly request: RequestHead;
  readonly body: RequestBody;
  /** Monotonic instant at which the request's head had been read. */
  readonly startedAt: number;
  /** Cancelled when the client leaves or the sidecar stops. */
  readonly cancellation: Cancellation;
  readonly callerTimeoutMs: number | undefined;
  readonly clientRetries: number;
  readonly client: ExchangeInit['client'];
  readonly onInformational: ExchangeInit['onInformational'];
  /**
   * Name or instance of the one endpoint that may be asked: what it says, or that it says nothing, is the answer. What
   * others, or earlier calls, were answered is none. It says as little of the upstream as a whole.
   */
  readonly pinnedTo: string | undefined;
  /** In the order in which they began; shared by the exchanges of a fallback ladder, so that the trail is one. */
  readonly attempts: Attempt[];
  /** Names of the upstreams that were asked, in order; shared like `attempts`, so that no ladder asks one twice. */
  readonly visited: string[];
  /** What retry and hedge want of the attempt that is made next. */
  nextAttempt: NextAttempt = FIRST_ATTEMPT;
  /** Monotonic instant; Infinity when nothing bounds this exchange. */
  deadlineAt = Number.POSITIVE_INFINITY;
  /** Bounds what further tries may cost, over a whole ladder; undefined when nothing does. */
  spend: SpendGuard | undefined;
  /** Retries are this sidecar's business: the client is told not to make any of its own. Set by the policy. */
  ownsRetries = false;
  /** Lower-case names of fields that a ladder has set, secrets perhaps: they are for one upstream alone. */
  borrowedHeaders: ReadonlySet<string> = NONE;
  /** What keeps it together with others at one endpoint; null where nothing does, undefined while nobody has looked. */
  affinity: string | null | undefined;
  /** What a cache has for a ladder, although it is not fresh; undefined where there is nothing, or it must not be used. */
  staleAnswer: StaleAnswer | undefined;
  readonly #init: ExchangeInit;
  /** Where its attempts are told besides: it is one of several that are made for another. */
  #toldIn: Attempt[] | undefined;
  #call: CallFacts | undefined;
  /** The exchange that this one is made for, which asks the same: its call need not be read again. */
  #asked: Exchange | undefined;

  constructor(init: ExchangeInit, parent?: Exchange) {
    this.#init = init;
    this.id = init.id;
    this.traceId = init.traceId;
    this.agentId = init.agentId;
    this.route = init.route;
    this.upstream = init.upstream;
    this.request = init.request;
    this.body = init.body;
    this.startedAt = init.startedAt;
    this.cancellation = init.cancellation;
    this.callerTimeoutMs = init.callerTimeoutMs;
    this.clientRetries = init.clientRetries;
    this.client = init.client;
    this.onInformational = init.onInformational;
    this.pinnedTo = init.pinnedTo;
    this.attempts = parent ? parent.attempts : [];
    this.#toldIn = parent && parent.#toldIn;
    this.spend = parent?.spend;
    this.visited = parent ? parent.visited : [];
    if (this.visited.at(-1) !== init.upstream.name) this.visited.push(init.upstream.name);
  }

  /** The same call made to another upstream: same id, body, trail and client; another request head. */
  redirectedTo(upstream: UpstreamIdentity, request: RequestHead, body: RequestBody = this.body): Exchange {
    const pinnedTo = upstream === this.upstream ? this.pinnedTo : undefined;
    return new Exchange({ ...this.#init, upstream, request, body, pinnedTo }, this);
  }

  /** The same call at the same upstream, made on other terms. What it learns of its terms is the caller's to `adopt`. */
  variedBy({ ownTrail = false, ...changes }: Variation): Exchange {
    const varied = new Exchange({ ...this.#init, ...changes }, ownTrail ? undefined : this);
    if (ownTrail === 'told') varied.#toldIn = this.attempts;
    varied.deadlineAt = this.deadlineAt;
    varied.borrowedHeaders = this.borrowedHeaders;
    varied.#asked = this;
    return varied;
  }

  /** @returns the number of the attempt, which is on the list from now on */
  join(attempt: Attempt): number {
    this.#toldIn?.push(attempt);
    return this.attempts.push(attempt);
  }

  /** Takes over what those below have said of a call that was made in this one's stead. */
  adopt({ spend, ownsRetries }: Exchange): void {
    this.spend = spend;
    this.ownsRetries = ownsRetries;
  }

  /** What is asked for, as the upstream's protocol says. */
  get call(): CallFacts {
    if (this.#call) return this.#call;
    const asked = this.#asked;
    this.#call = (asked && asked.#call) ?? this.#readCall();
    if (asked) asked.#call = this.#call;
    return this.#call;
  }

  #readCall(): CallFacts {
    return this.upstream.dialect.readCall?.(this.request, () => this.readJson()) ?? UNKNOWN_CALL;
  }

  /** The body as JSON, parsed anew each time; undefined where it is not here as a whole, or is none. */
  readJson(): unknown {
    return jsonIn(this.body);
  }
}

export type AttemptPhase =
  /** Waiting for a connection. */
  | 'connecting'
  /** The head is on its way out; the body follows. */
  | 'sending'
  /** All is sent; no final response head yet. */
  | 'waiting'
  /** The response head is here. */
  | 'receiving'
  | 'ended';

/** Judges what an attempt brought. */
export type Classify = (outcome: ResponseOutcome | FailureOutcome) => Verdict;

/** Takes the word of whoever made the outcome. */
const asItSays: Classify = ({ verdict }) => verdict;

/** One try. Belongs to one exchange and is never reused. */
export class Attempt {
  readonly exchange: Exchange;
  /** From 1, over all upstreams of the exchange. */
  readonly number: number;
  readonly endpoint: Endpoint;
  readonly startedAt: number;
  readonly cancellation: Cancellation;
  /** Backoff that was waited before this attempt, in milliseconds. */
  readonly backoffMs: number;
  /** Must not use a kept-alive connection: the attempt before failed on one. */
  readonly freshConnection: boolean;
  /** It was begun beside another one that took long. */
  readonly spare: boolean;

  // Progress, written by the transport and read by the timers.
  phase: AttemptPhase = 'connecting';
  /** Monotonic instant of the last progress in either direction. */
  lastActivityAt: number;
  /** Monotonic instant at which all of the request had been sent. */
  sentAt: number | undefined;
  /** Monotonic instant at which the final response head was here. */
  headAt: number | undefined;
  /** The client is not reading: the upstream cannot be blamed for silence. */
  paused = false;

  /** What was read of its answer, where its protocol is known; written while it passes. */
  answer: AnswerFacts | undefined;
  /** The request that brings the rest of its stream, set when that broke off where its protocol can go on. */
  continuation: Continuation | undefined;
  /** Its client can ask for the rest of the stream by itself. */
  clientResumes = false;
  /** Why nobody has that answer whole; undefined while it passes, and once it was delivered. */
  wasted: Waste | undefined;
  /** Body bytes received. */
  receivedBytes = 0;
  /** Name of the upstream's credential that it carries; undefined when it carries the client's, or none. */
  credential: string | undefined;
  /** Name of the credential that it must carry while that can be used: the rest of a stream belongs to who began it. */
  boundCredential: string | undefined;
  /** Set where the attempt is made. */
  classify: Classify = asItSays;

  // The ending, for the trail.
  status: number | undefined;
  reason: Reason | undefined;
  verdict: Verdict | undefined;
  /** Whether the upstream may have begun to do what was asked; undefined while the attempt is under way. */
  sent: 'no' | 'maybe' | undefined;
  /** Time to the response head, or to the failure. */
  durationMs: number | undefined;
  /** It failed while siblings of its endpoint fared better: no sign of what the upstream is like. */
  endpointsFault = false;
  /** Refused before anything was sent: it counts only while later ones stand behind it in the list. */
  withdrawn = false;

  #headers: HeaderList;
  #target: string;

  constructor(exchange: Exchange, endpoint: Endpoint, cancellation: Cancellation, now: number) {
    this.exchange = exchange;
    this.number = exchange.join(this);
    this.endpoint = endpoint;
    this.cancellation = cancellation;
    this.startedAt = now;
    this.lastActivityAt = now;
    const { backoffMs, freshConnection, spare = false, begun } = exchange.nextAttempt;
    this.backoffMs = backoffMs;
    this.freshConnection = freshConnection;
    this.spare = spare;
    this.#headers = exchange.request.headers;
    this.#target = exchange.request.target;
    begun?.(this);
  }

  /** What `outcome`, this attempt's own, means. Judged once: whoever asks again gets the same verdict. */
  judge(outcome: ResponseOutcome | FailureOutcome): Verdict {
    // The caller gave less time than was needed: as if it had left.
    const callersDoing = outcome.kind === 'failure' && this.cancellation.reason === 'caller-deadline';
    this.verdict ??= callersDoing ? verdictOf('abandoned') : this.classify(outcome);
    return this.verdict;
  }

  /** The request's headers for this attempt. */
  get headers(): HeaderList {
    return this.#headers;
  }

  /** Replaces the headers of this attempt only; the exchange keeps its own. */
  replaceHeaders(headers: HeaderList): void {
    this.#headers = headers;
  }

  /** Path and query of this attempt, without the endpoint's base path. */
  get target(): string {
    return this.#target;
  }

  /** Replaces the target of this attempt only; the exchange keeps its own. */
  replaceTarget(target: string): void {
    this.#target = target;
  }
}
