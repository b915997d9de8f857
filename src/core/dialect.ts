/** What the core needs to know of an agent protocol. One implementation per protocol in `dialects/`. */
import type { HeaderList } from './header-list.ts';
import type { ResponseHead } from './outcome.ts';
import type { Reason } from './reasons.ts';
import type { RequestHead } from './request.ts';
import type { ANSWER_CLASSES, Verdict } from './verdict.ts';

/** What a call is, as far as its protocol tells. */
export interface CallFacts {
  /** What is asked for, such as `chat` or `tools/call`; undefined where the protocol has no name for it. */
  readonly operation: string | undefined;
  readonly model: string | undefined;
  /** Tool that is called, in protocols that call tools. */
  readonly tool: string | undefined;
  /** A stream of events is wanted as the answer. */
  readonly stream: boolean;
  /** What the call needs of a model beyond text, such as `tools`, `vision` or `json_schema`. */
  readonly needs: readonly string[];
  /** Most tokens that the answer may have, where the call says so. */
  readonly maxTokens?: number | undefined;
  /** False for what is answered by a status alone, such as a notification. Default: true. */
  readonly expectsAnswer?: boolean;
  /** Identifier of a JSON-RPC request; its answer must carry the same. Undefined: none, or a notification. */
  readonly id: string | number | undefined;
  /**
   * What a repetition would do. `safe`: nothing. `compute`: nothing but cost, like a completion. `unsafe`: possibly
   * something twice, or nobody knows.
   */
  readonly repeat: 'safe' | 'compute' | 'unsafe';
}

export const UNKNOWN_CALL: CallFacts = {
  operation: undefined,
  model: undefined,
  tool: undefined,
  stream: false,
  needs: [],
  id: undefined,
  repeat: 'unsafe',
};

/** Tokens as the provider counted them. */
export interface Usage {
  /** All of the prompt, cached tokens included. */
  readonly input: number;
  /** The part of `input` that the provider had in its cache. */
  readonly cached: number;
  /** All that was generated, reasoning included. */
  readonly output: number;
  /** The part of `output` that was reasoning. */
  readonly reasoning: number;
}

/** What was learnt of an answer while it passed. Written by the reader, read by telemetry. */
export class AnswerFacts {
  /** It comes as a stream of events; else as a whole. */
  streamed = false;
  /** Model that the upstream says has answered. */
  model: string | undefined;
  finishReason: string | undefined;
  usage: Usage | undefined;
  /** Monotonic instant of the first word, tool call or other part of the answer proper. */
  firstTokenAt: number | undefined;
  /** Events of a stream that were read. */
  events = 0;
  /** Events that could not be read; they were passed on all the same. */
  malformed = 0;
  /** Longest time between two events of a stream, in milliseconds. */
  longestGapMs = 0;
}

/**
 * What one event means for the answer. `pass`: nothing, such as a preamble or a ping. `content`: a part of the answer
 * proper. `end`: the protocol's own end of the answer. `error`: the upstream's own error. `malformed`: nobody can say.
 */
export type StreamSignal = 'pass' | 'content' | 'end' | 'error' | 'malformed';

/** A request for the rest of a stream. */
export interface Continuation {
  readonly request: RequestHead;
  /** Default: none. */
  readonly body?: Uint8Array;
  /** Events at its beginning that tell nothing new. Default 0. */
  readonly repeats?: number;
}

/** Reads one stream of events as it passes. Never throws. */
export interface StreamReader {
  /**
   * @param event name of the event, empty where it has none
   * @param data bytes of its data, one character each (`latin1`); see `utf8Text`
   * @param id the event's own identifier, where it has one
   */
  read(event: string, data: string, id?: string): StreamSignal;
  /** False when this stream may end at any event. */
  readonly hasTerminator: boolean;
  /** True for streams that may be silent from their start: these are not held back until something comes. */
  readonly immediate?: boolean;
  /** True once the client can ask for the rest by itself: when the stream breaks off, nothing may be added to it. */
  readonly resumable?: boolean;
  /** The JSON of the error event, once one was read. */
  readonly error: unknown;
  /** The request that brings what comes after the last event read; undefined where there is no such request. */
  continuation?(request: RequestHead): Continuation | undefined;
  /** True when the protocol's clients do not take that event for an error: they must be told in another way. */
  readonly unheard?: boolean;
}

/** What a whole JSON answer turned out to be. */
export interface JsonReading {
  /** `error`: a success by its status, an error by its words. `empty`: without what was asked for. */
  readonly kind: 'answer' | 'error' | 'empty';
}

/** What an error means: the first rule that fits decides. Data, so that tables can be read, tested and extended. */
export interface ErrorRule {
  /** Statuses: 503, "5xx" or "500-504". An error inside an answer that has no status of its own fits any. */
  readonly status?: readonly (number | string)[];
  /** JSON pointer (RFC 6901; `*` for any member) to a case-insensitive regular expression for the value found there. */
  readonly body?: Readonly<Record<string, string>>;
  /** Header name to a case-insensitive regular expression. An empty one: present. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Headers that must be absent. */
  readonly without?: readonly string[];
  readonly as: (typeof ANSWER_CLASSES)[number];
}

/** What a local answer has to say, before a dialect gives it a shape. */
export interface LocalError {
  readonly status: number;
  readonly reason: Reason;
  /** One sentence for people. */
  readonly title: string;
  /** More for people, where there is more. */
  readonly detail: string | undefined;
  readonly requestId: string;
  readonly retryAfterMs: number | undefined;
  readonly call: CallFacts;
  /** Whether the upstream may have seen the request. */
  readonly sent: 'no' | 'maybe';
  /** What the upstream itself said, as parsed JSON: an error inside an answer that looked like a success. */
  readonly said?: unknown;
}

export interface RenderedAnswer {
  /** Where the protocol wants another status than the one that HTTP would have. */
  readonly status?: number;
  /** Headers that describe the body. */
  readonly headers: HeaderList;
  readonly body: string;
}

/** An answer with what is known of it. */
export interface Answer {
  readonly head: ResponseHead;
  /** Its body, where it was read to judge it. */
  readonly json: unknown;
  readonly call: CallFacts;
}

/** Base addresses, without a slash at their end: the one that the client used here, and those of the endpoints. */
export interface Place {
  readonly ours: string;
  readonly theirs: readonly string[];
}

/** What an answer says instead. What is left out stays as it is. */
export interface Rewriting {
  readonly headers?: HeaderList;
  readonly json?: unknown;
  /** Why something that leads past the sidecar stays as it is. */
  readonly kept?: string;
}

export interface Dialect {
  readonly name: string;
  /** What errors mean beyond their status, most telling rule first. */
  readonly errors: readonly ErrorRule[];
  /**
   * Lower-case name of the field that carries a session in both directions. What belongs to a session goes to the
   * endpoint that keeps it. Undefined: the protocol has none.
   */
  readonly sessionHeader?: string;
  /**
   * Names of documents under `/.well-known/` at the root of an origin that describe what stands at a path of it: the path
   * follows their name. They belong to whoever has that path.
   */
  readonly wellKnown?: readonly string[];
  /**
   * Judges an answer by its head and, where it was read, its body. A status below 400 with a body is an error inside an
   * answer that looked like a success.
   */
  classify(head: ResponseHead, wallTime: () => Date, json?: unknown): Verdict;
  /**
   * True for answers that are delivered bit by bit for as long as they like: these have no total deadline, and are not
   * held to be read as a whole. What was asked for counts where the content type does not tell.
   */
  isStream(head: ResponseHead, call?: CallFacts): boolean;
  /** The body, and the headers that describe it, of an answer that the sidecar makes itself. */
  renderError(error: LocalError): RenderedAnswer;

  // What follows is only known of protocols whose answers can be read.

  /** @param json the request's body, parsed when asked for; undefined when it is not here, or no JSON */
  readCall?(request: RequestHead, json: () => unknown): CallFacts;
  /** Judges a whole JSON answer with a status below 400, and writes down what is in it. */
  readJson?(json: unknown, call: CallFacts, facts: AnswerFacts): JsonReading;
  /** Follows a stream that answers this call; undefined when such a stream cannot be read. */
  follow?(call: CallFacts, facts: AnswerFacts): StreamReader | undefined;
  /**
   * Written where a stream broke off in the middle of a frame, before the events that tell so. Default: the line and the
   * frame end, and the client gets what there is of it. A protocol may know a better way to make it harmless.
   */
  readonly frameEnd?: string;
  /** Events that end a stream which broke off, so that its client knows; undefined when there is no such event. */
  renderStreamError?(error: LocalError): string | undefined;
  /** Whether a stream that answers this can be continued where it broke off; see `StreamReader.continuation`. */
  resumes?(request: RequestHead): boolean;
  /**
   * An answer of the sidecar's own that says `text`, in the form that the call asked for and marked as such; undefined
   * when words are no answer to it, as to a request for embeddings.
   */
  renderAnswer?(text: string, call: CallFacts): RenderedAnswer | undefined;
  /** Changes where an answer tells clients to go; undefined: it says nothing of that. */
  rewrite?(answer: Answer, place: Place): Rewriting | undefined;
}
