/** A provider's answer on its way through the commit gate to a client, without sockets: fast enough for every byte. */
import { BodyEnd } from '../../src/core/body-end.ts';
import { AnswerFacts } from '../../src/core/dialect.ts';
import type { CallFacts, Dialect, StreamSignal } from '../../src/core/dialect.ts';
import type { BodySink, Outcome, ResponseBody } from '../../src/core/outcome.ts';
import { commitGate } from '../../src/policies/commit-gate.ts';
import { localAnswer } from '../../src/server/local-answer.ts';
import { SseFrames } from '../../src/streams/sse-frames.ts';
import { attemptAt, bytesBody, exchangeAt, kit, respond } from './policy-kit.ts';

export interface GatedAnswer {
  readonly dialect: Dialect;
  readonly chunks: readonly Uint8Array[];
  /** `clean`: the connection ends in order, whatever was sent; `destroyed`: it breaks. */
  readonly end: 'clean' | 'destroyed';
}

/** What an SDK may use for `fetch`: every request gets this answer, through a gate of its own. */
export function gatedFetch(answer: GatedAnswer): typeof fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const outcome = await throughGate(answer, url, Buffer.from(init?.body as string));
    return responseOf(outcome, answer.dialect);
  };
}

async function throughGate(answer: GatedAnswer, url: URL, sent: Buffer): Promise<Outcome> {
  const { clock, deps } = kit();
  const exchange = exchangeAt(clock, {
    request: { method: 'POST', target: url.pathname + url.search },
    upstream: { dialect: answer.dialect },
    body: bytesBody(sent),
  });
  const attempt = attemptAt(clock, exchange);
  const gate = commitGate.build(commitGate.schema.parse({}), deps, undefined);
  const headers = ['content-type', 'text/event-stream'];
  const next = () => Promise.resolve(respond(200, { headers, body: new WrittenBody(answer) }));
  return gate.run(attempt, next, attempt.cancellation);
}

function responseOf(outcome: Outcome, dialect: Dialect): Response {
  if (outcome.kind === 'response')
    return new Response(streamOf(outcome.body), { headers: { 'content-type': 'text/event-stream' } });
  const { head, body } = localAnswer({
    reason: outcome.reason,
    dialect,
    pseudonym: 'test',
    requestId: 'id',
    detail: outcome.detail,
  });
  const pairs = head.headers.flatMap((name, i): [string, string][] =>
    i % 2 === 0 ? [[name, head.headers[i + 1] ?? '']] : [],
  );
  return new Response(new Uint8Array(body), { status: head.status, headers: pairs });
}

const streamOf = (body: ResponseBody): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) =>
      body.pipe({
        write: (bytes) => {
          controller.enqueue(bytes);
          return true;
        },
        end: () => controller.close(),
        abort: () => controller.error(new TypeError('terminated')),
      }),
  });

/** Everything at once, and then its end. */
class WrittenBody extends BodyEnd implements ResponseBody {
  readonly #answer: GatedAnswer;

  constructor(answer: GatedAnswer) {
    super();
    this.#answer = answer;
  }

  pipe(sink: BodySink): void {
    const { chunks, end } = this.#answer;
    for (const one of chunks) sink.write(one);
    const bytes = chunks.reduce((sum, one) => sum + one.length, 0);
    if (end === 'clean') sink.end([]);
    else sink.abort({ end: 'upstream-aborted', reason: 'response_incomplete', bytes });
  }

  resume(): void {
    // Nobody is waited for.
  }

  discard(): void {
    this.settleEnd({ end: 'discarded', bytes: 0 });
  }
}

/** The parts of `bytes` when it is cut at these places. */
export const cutAt = (bytes: Buffer, ...places: readonly number[]): Buffer[] =>
  [0, ...places].map((place, i) => bytes.subarray(place, places[i] ?? bytes.length));

/** Every place to cut; where lines end with CR and LF, the places around those. */
export function placesIn(bytes: Buffer): number[] {
  const crlf = bytes.includes(13);
  return [...bytes.keys()].filter((place) => !crlf || bytes[place] === 10 || bytes[place] === 13);
}

export interface Reading {
  readonly signals: readonly StreamSignal[];
  readonly facts: AnswerFacts;
  readonly error: unknown;
  readonly hasTerminator: boolean;
}

/** What a dialect makes of a stream that comes in these pieces. */
export function readingOf(dialect: Dialect, call: CallFacts, chunks: readonly Uint8Array[]): Reading {
  const facts = new AnswerFacts();
  const reader = dialect.follow?.(call, facts);
  if (!reader) throw new Error('this dialect does not follow such streams');
  const signals: StreamSignal[] = [];
  const frames = new SseFrames((event, data, id) => {
    const signal = reader.read(event, data, id);
    if (signal === 'content') facts.firstTokenAt ??= 0;
    signals.push(signal);
  });
  for (const one of chunks) frames.push(one);
  return { signals, facts, error: reader.error, hasTerminator: reader.hasTerminator };
}

/** A call without its body, or with this one. */
export function callOf(dialect: Dialect, target: string, body?: unknown): CallFacts {
  const { request } = exchangeAt({ now: () => 0 }, { request: { method: 'POST', target } });
  const call = dialect.readCall?.(request, () => body);
  if (!call) throw new Error('this dialect does not read calls');
  return call;
}
