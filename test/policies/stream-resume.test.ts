import { describe, expect, it } from 'vitest';
import { BodyEnd } from '../../src/core/body-end.ts';
import { headerValue } from '../../src/core/header-list.ts';
import type { BodySink, Completion, Outcome, ResponseBody } from '../../src/core/outcome.ts';
import { reasonOfCancel } from '../../src/core/reasons.ts';
import { mcp } from '../../src/dialects/mcp.ts';
import { streamResume } from '../../src/policies/stream-resume.ts';
import { CollectingSink, Script, attemptAt, exchangeAt, fail, kit, respond } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';

policyContract({ module: streamResume, options: {}, scope: (clock) => attemptAt(clock) });

/** A stream that the test writes. */
class Stream extends BodyEnd implements ResponseBody {
  discarded = false;
  #sink: BodySink | undefined;
  readonly #early: string[] = [];

  write(text: string): void {
    if (this.#sink) this.#sink.write(Buffer.from(text));
    else this.#early.push(text);
  }

  finish(): void {
    this.#sink?.end([]);
    this.settleEnd({ end: 'complete', bytes: 0 });
  }

  breakOff(end: Completion['end'] = 'upstream-aborted'): void {
    const completion: Completion = { end, reason: 'response_incomplete', bytes: 0 };
    this.#sink?.abort(completion);
    this.settleEnd(completion);
  }

  pipe(sink: BodySink): void {
    this.#sink = sink;
    for (const text of this.#early) sink.write(Buffer.from(text));
  }

  resume(): void {
    // Nothing is held back here.
  }

  discard(): void {
    this.discarded = true;
    this.settleEnd({ end: 'discarded', bytes: 0 });
  }
}

const EVENTS = ['content-type', 'text/event-stream'];
const message = (id: string | number, text: string): string =>
  `id: ${id}\nevent: message\ndata: {"jsonrpc":"2.0","method":"${text}"}\n\n`;
const ANSWER = 'id: end\ndata: {"jsonrpc":"2.0","id":7,"result":{}}\n\n';

const answered = (stream: Stream, headers = EVENTS): Outcome => respond(200, { body: stream, headers });

interface Setting {
  readonly headers?: readonly string[];
  readonly options?: object;
}

/** A tool call whose answer is `first`; what comes after it is `then`, one for each further attempt. */
async function call(first: Outcome, then: readonly Outcome[], { headers, options = {} }: Setting = {}) {
  const { clock, deps, events } = kit();
  const policy = streamResume.build(streamResume.schema.parse(options), deps, undefined);
  const json = Buffer.from(
    JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'x' } }),
  );
  const exchange = exchangeAt(clock, {
    upstream: { dialect: mcp },
    request: {
      method: 'POST',
      target: '/mcp',
      headers: headers ?? ['mcp-session-id', 's-1', 'content-type', 'application/json', 'accept', '*/*'],
    },
    body: {
      replayable: true,
      length: json.length,
      waitingForClient: false,
      open: () => json,
      peek: () => json,
      whole: () => Promise.resolve(json),
    },
  });
  const attempt = attemptAt(clock, exchange);
  const script = new Script<typeof attempt>(clock, first, ...then);
  const outcome = await policy.run(attempt, script.next, attempt.cancellation);
  const sink = new CollectingSink();
  if (outcome.kind === 'response') outcome.body.pipe(sink);
  return { clock, events, exchange, script, sink, outcome };
}

describe('a stream that breaks off', () => {
  it('goes on behind the last event that came whole, and the client sees one stream', async () => {
    const [first, second] = [new Stream(), new Stream()];
    const { clock, events, exchange, script, sink } = await call(answered(first), [answered(second)]);
    first.write(message(1, 'a'));
    first.write(message(2, 'b') + message(3, 'c').slice(0, 20));
    first.breakOff();
    await clock.advance(200);
    const [, again] = script.calls;
    expect(again?.scope.exchange.request).toMatchObject({ method: 'GET', target: '/mcp' });
    expect(again?.scope.headers).toEqual([
      'mcp-session-id',
      's-1',
      'accept',
      'text/event-stream',
      'last-event-id',
      '2',
    ]);
    expect([again?.scope.number, exchange.attempts.length]).toEqual([2, 2]);
    second.write(message(3, 'c') + ANSWER);
    second.finish();
    expect(sink.text).toBe(message(1, 'a') + message(2, 'b') + message(3, 'c') + ANSWER);
    expect([sink.ended, sink.aborted]).toEqual([true, undefined]);
    expect(events.of('stream-resumed')).toMatchObject([{ tries: 1, upstream: 'main' }]);
  });

  it('is tried again with growing waits, which an event that can be resumed from starts anew', async () => {
    const streams = Array.from({ length: 3 }, () => new Stream());
    const [first, second, third] = streams as [Stream, Stream, Stream];
    const then = [fail('connection_refused'), respond(503), answered(second), answered(third)];
    const options = { maxTries: 3, initial: '100ms', max: '1s' };
    const { clock, events, script } = await call(answered(first), then, { options });
    first.write(message(1, 'a'));
    first.breakOff();
    await clock.advance(700);
    expect(script.calls).toHaveLength(4);
    second.write(message(2, 'b'));
    second.breakOff('timed-out');
    await clock.advance(1_000);
    expect(headerValue(script.calls[4]!.scope.headers, 'last-event-id')).toBe('2');
    expect(events.of('stream-resumed').map(({ tries }) => tries)).toEqual([3, 1]);
  });

  it('breaks for the client when the tries are used up', async () => {
    const first = new Stream();
    const { clock, events, script, sink } = await call(answered(first), [fail('connection_refused')], {
      options: { maxTries: 2 },
    });
    first.write(message(1, 'a'));
    first.breakOff();
    await clock.advance(5_000);
    expect(script.calls).toHaveLength(3);
    expect(sink.aborted).toMatchObject({ end: 'upstream-aborted', reason: 'response_incomplete' });
    expect(events.of('stream-lost')).toHaveLength(1);
  });

  it.each([404, 405, 401])('breaks at once when the server will not go on with it (%d)', async (status) => {
    const first = new Stream();
    const { clock, script, sink } = await call(answered(first), [respond(status)]);
    first.write(message(1, 'a'));
    first.breakOff();
    await clock.advance(60_000);
    expect(script.calls).toHaveLength(2);
    expect(sink.aborted).toBeDefined();
  });

  it.each([
    ['before an event with an id', 'data: {}\n\n', undefined],
    ['in a session that nobody named', message(1, 'a'), ['accept', '*/*']],
    ['after its answer', message(1, 'a') + ANSWER, undefined],
    ['with an id that no field can carry', message('\u0001', 'a'), undefined],
  ])('%s is not gone on with', async (_, text, headers) => {
    const first = new Stream();
    const { clock, script, sink } = await call(answered(first), [], headers ? { headers } : {});
    first.write(text);
    first.breakOff();
    await clock.advance(60_000);
    expect(script.calls).toHaveLength(1);
    expect(sink.text).toBe(text);
    expect(sink.aborted).toBeDefined();
  });

  it('in the middle of a huge frame is not gone on with: a part of it has been passed on', async () => {
    const first = new Stream();
    const { clock, script, sink } = await call(answered(first), []);
    first.write(message(1, 'a'));
    first.write(`id: 2\ndata: ${'x'.repeat(300 * 1024)}`);
    first.breakOff();
    await clock.advance(60_000);
    expect(script.calls).toHaveLength(1);
    expect(sink.text.length).toBeGreaterThan(300 * 1024);
  });
});

describe('a client that leaves', () => {
  it('ends the waiting, and nothing is asked for', async () => {
    const first = new Stream();
    const { clock, events, exchange, script, sink } = await call(answered(first), []);
    first.write(message(1, 'a'));
    first.breakOff();
    exchange.cancellation.cancel('client-aborted');
    await clock.advance(60_000);
    expect(script.calls).toHaveLength(1);
    expect(sink.aborted).toMatchObject({ end: 'client-aborted', reason: reasonOfCancel('client-aborted') });
    expect(events.of('stream-lost')).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends the attempt that brings the rest, and leaves no listener behind', async () => {
    const [first, second] = [new Stream(), new Stream()];
    const { clock, exchange, script } = await call(answered(first), [answered(second)]);
    const before = exchange.cancellation.listenerCount;
    first.write(message(1, 'a'));
    first.breakOff();
    await clock.advance(200);
    const [, again] = script.calls;
    exchange.cancellation.cancel('client-aborted');
    expect(again?.cancellation.cancelled).toBe(true);
    second.breakOff('client-aborted');
    expect(exchange.cancellation.listenerCount).toBeLessThanOrEqual(before);
  });
});

describe('everything else', () => {
  it.each([
    ['a stream that ends in order', EVENTS],
    ['a compressed stream', [...EVENTS, 'content-encoding', 'gzip']],
    ['an answer that is no stream', ['content-type', 'application/json']],
  ])('%s passes as it is', async (_, headers) => {
    const first = new Stream();
    const { sink, script } = await call(answered(first, headers), [], {});
    first.write(message(1, 'a'));
    first.finish();
    expect([sink.text, sink.ended, script.calls.length]).toEqual([message(1, 'a'), true, 1]);
  });
});
