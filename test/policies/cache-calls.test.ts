/** Answers to POSTs, by the operator's word: completions and other calls that only compute or read. */
import { describe, expect, it } from 'vitest';
import { openai } from '../../src/dialects/openai.ts';
import { bodyOfBytes } from '../../src/core/request-bodies.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { BodyEnd } from '../../src/core/body-end.ts';
import type { BodySink, Outcome, ResponseBody } from '../../src/core/outcome.ts';
import { PacedSource } from '../streams/shared-rig.ts';
import { ControlledBody, respond } from '../support/policy-kit.ts';
import type { ExchangeParts } from '../support/policy-kit.ts';
import { answer, answers, CacheRig, post, read } from './cache-rig.ts';

const MODELS = { models: { ttl: '1h' } };
const JSON_TYPE = ['content-type', 'application/json'] as const;

/** A call in the dialect of OpenAI. */
const call = (body: unknown, headers: readonly string[] = [], target?: string): ExchangeParts => ({
  ...post(typeof body === 'string' ? body : JSON.stringify(body), { headers, ...(target && { target }) }),
  upstream: { dialect: openai },
});

const PROMPT = { model: 'm', messages: [{ role: 'user', content: 'hi' }], temperature: 0 };

/** Ends whole to look at, and tells that it was not. */
class CleanCut extends BodyEnd implements ResponseBody {
  pipe(sink: BodySink): void {
    sink.write(Buffer.from('data: {}\n\n'));
    sink.end([]);
    this.settleEnd({ end: 'upstream-aborted', reason: 'response_incomplete', bytes: 10 });
  }
  resume(): void {
    // One chunk.
  }
  discard(): void {
    this.settleEnd({ end: 'discarded', bytes: 0 });
  }
}

/** Whole, with an error of the upstream's own in its middle. */
class ErrorInside extends CleanCut {
  override pipe(sink: BodySink): void {
    sink.write(Buffer.from('data: {"error":{}}\n\n'));
    sink.end([]);
    this.settleEnd({ end: 'complete', bytes: 10, verdict: verdictOf('transient') });
  }
}

function brokenEarly(): Outcome {
  const body = new ControlledBody();
  body.breakOff();
  return respond(200, { headers: JSON_TYPE, body });
}

describe('cache: completions', () => {
  it('keeps none unless told to', async () => {
    const rig = new CacheRig({}, [answers([...JSON_TYPE, 'cache-control', 'max-age=60'])]);
    await rig.get(call(PROMPT));
    expect((await rig.get(call(PROMPT))).from).toBe('upstream');
  });

  it('answers the same call, whatever the order of its members', async () => {
    const rig = new CacheRig(MODELS, [answers(JSON_TYPE, ['{"choices":[]}'])]);
    await rig.get(call('{"model":"m","messages":[{"role":"user","content":"h\\u00e9"}]}'));
    const same = ' { "messages" : [ { "content": "hé", "role":"user" } ],\n"model":"m" }';
    expect(await rig.get(call(same))).toMatchObject({ from: 'cache', text: '{"choices":[]}' });
    await rig.clock.advance(3_600_000);
    expect((await rig.get(call(same))).from).toBe('upstream');
  });

  it.each([
    ['another model', call({ ...PROMPT, model: 'n' })],
    ['another temperature', call({ ...PROMPT, temperature: 0.1 })],
    ['a stream', call({ ...PROMPT, stream: true })],
    ['a member more', call({ ...PROMPT, seed: 1 })],
    ['another path', call(PROMPT, [], '/v2/chat/completions')],
    ['a query', call(PROMPT, [], '/v1/chat/completions?a=1')],
    ['another credential', call(PROMPT, ['authorization', 'Bearer b'])],
    ['another organisation', call(PROMPT, ['openai-organization', 'b'])],
    ['another version', call(PROMPT, ['anthropic-version', '2023-06-01'])],
    ['another coding', call(PROMPT, ['accept-encoding', 'gzip'])],
  ])('takes a call with %s for another one', async (_, other) => {
    const rig = new CacheRig(MODELS, [answers(JSON_TYPE, ['{}'])]);
    await rig.get(call(PROMPT));
    expect((await rig.get(other)).from).toBe('upstream');
    expect((await rig.get(other)).from).toBe('cache');
    expect(rig.asked).toBe(2);
  });

  it('takes large bodies as they are, for to go through them would hold up everybody', async () => {
    const rig = new CacheRig(MODELS, [answers(JSON_TYPE), answers(JSON_TYPE)]);
    const long = { ...PROMPT, user: 'x'.repeat(256 * 1024) };
    const { model, ...rest } = long;
    for (const body of [long, long, { ...rest, model }]) await rig.get(call(body));
    expect(rig.results).toEqual(['miss', 'hit', 'miss']);
  });

  it('takes no two bodies for the same that a reader could tell apart', async () => {
    const rig = new CacheRig(MODELS, [answers(JSON_TYPE, ['{}'])]);
    const bodies = [
      '{"seed":12345678901234567890}',
      '{"seed":12345678901234567891}',
      '{"model":"a","model":"b"}',
      '{"model":"b"}',
      '{"n":1}',
      '{"n":1.0}',
      '{"n":"1"}',
      'not JSON',
      'not  JSON',
    ];
    for (const text of bodies) expect((await rig.get(call(text))).from).toBe('upstream');
    for (const text of bodies) expect((await rig.get(call(text))).from).toBe('cache');
  });

  it('replays a stream chunk by chunk, as it came', async () => {
    const chunks = ['data: {"a":1}\n\n', 'data: {"b"', ':2}\n\n', 'data: [DONE]\n\n'];
    const rig = new CacheRig(MODELS, [answers(['content-type', 'text/event-stream'], chunks)]);
    await rig.get(call({ ...PROMPT, stream: true }));
    const outcome = await rig.outcomeOf(call({ ...PROMPT, stream: true }));
    const seen: string[] = [];
    const sink: BodySink = {
      write: (chunk) => {
        seen.push(Buffer.from(chunk).toString());
        return false;
      },
      end: () => void seen.push('end'),
      abort: () => void seen.push('abort'),
    };
    if (outcome.kind !== 'response') throw new Error(outcome.kind);
    outcome.body.pipe(sink);
    expect(seen).toEqual(chunks.slice(0, 1));
    while (seen.at(-1) !== 'end') outcome.body.resume();
    expect(seen).toEqual([...chunks, 'end']);
  });

  it('ends a replay that nobody reads when its client leaves', async () => {
    const rig = new CacheRig(MODELS, [answers(JSON_TYPE, ['{', '}'])]);
    await rig.get(call(PROMPT));
    const { exchange, outcome } = rig.start(call(PROMPT));
    await rig.clock.advance(0);
    const settled = outcome();
    if (settled?.kind !== 'response') throw new Error('no response');
    settled.body.pipe({ write: () => false, end: () => undefined, abort: () => undefined });
    exchange.cancellation.cancel('client-aborted');
    expect(await settled.body.completion).toMatchObject({ end: 'client-aborted' });
    expect(exchange.cancellation.listenerCount).toBe(0);
  });

  it.each([
    ['is an error', answers(JSON_TYPE, ['{}'], 503)],
    ['is empty', answers(JSON_TYPE, [])],
    ['has no content', answers([], [], 204)],
    ['ends as if it were whole, but is not', () => respond(200, { body: new CleanCut() })],
    ['broke off before anybody took it', brokenEarly],
    ['has an error inside', () => respond(200, { body: new ErrorInside() })],
    ['is judged otherwise', () => ({ ...answer(JSON_TYPE), verdict: verdictOf('content_filter') })],
    ['must not be stored', answers([...JSON_TYPE, 'cache-control', 'no-store'], ['{}'])],
  ])('keeps no answer that %s', async (_, step) => {
    const rig = new CacheRig(MODELS, [step, answers(JSON_TYPE, ['{"good":1}'])]);
    read(await rig.outcomeOf(call(PROMPT)));
    await rig.clock.advance(0);
    expect(rig.kept).not.toContain('stored');
    expect(rig.asked).toBe(1);
    expect((await rig.get(call(PROMPT))).from).toBe('upstream');
  });

  it('keeps answers of real providers: private, not to be cached, with the cookie of a gateway', async () => {
    const headers = [...JSON_TYPE, 'cache-control', 'private, no-cache', 'set-cookie', '__cf_bm=1'];
    const rig = new CacheRig(MODELS, [answers(headers, ['{}'])]);
    const first = await rig.outcomeOf(call(PROMPT));
    expect(first.kind === 'response' && first.head.headers).toContain('set-cookie');
    read(first);
    await rig.clock.advance(0);
    const second = await rig.outcomeOf(call(PROMPT));
    expect(second).toMatchObject({ from: 'cache' });
    expect(second.kind === 'response' && second.head.headers).not.toContain('set-cookie');
  });

  it('keeps no answer to a call that leaves traces', async () => {
    const rig = new CacheRig(MODELS, [answers(JSON_TYPE, ['{}'])]);
    const job = call({ model: 'm', input: 'x', background: true }, [], '/v1/responses');
    await rig.get(job);
    expect((await rig.get(job)).from).toBe('upstream');
    expect(rig.results).toEqual(['bypass', 'bypass']);
  });

  it('begins the operator’s time when the answer is whole', async () => {
    const source = new PacedSource();
    const rig = new CacheRig({ models: { ttl: '5s' } }, [() => respond(200, { body: source })]);
    const { outcome } = rig.start(call(PROMPT));
    await rig.clock.advance(30_000);
    const first = outcome();
    if (first?.kind !== 'response') throw new Error('no response');
    read(first);
    source.push('{}');
    source.finish();
    await rig.clock.advance(4_999);
    expect(await rig.get(call(PROMPT))).toMatchObject({ from: 'cache', age: '34' });
    await rig.clock.advance(1);
    expect((await rig.get(call(PROMPT))).from).toBe('upstream');
  });

  it('waits for a body that is on its way, and passes by one that cannot be kept', async () => {
    const bytes = Buffer.from(JSON.stringify(PROMPT));
    const rig = new CacheRig(MODELS, [answers(JSON_TYPE, ['{}'])]);
    const slowly = (whole: Uint8Array | undefined): ExchangeParts => ({
      ...call(PROMPT),
      body: {
        ...bodyOfBytes(bytes),
        peek: () => undefined,
        whole: () => Promise.resolve(whole),
      },
    });
    await rig.get(slowly(bytes));
    expect((await rig.get(call(PROMPT))).from).toBe('cache');
    expect((await rig.get(slowly(undefined))).from).toBe('upstream');
    expect(rig.results).toEqual(['miss', 'hit', 'bypass']);
  });
});

describe('cache: other POSTs', () => {
  const SEARCH = { post: [{ path: '/search/*', ttl: '30s', headers: ['X-Index'] }] };
  const search = (text: string, headers: readonly string[] = [], target = '/search/a'): ExchangeParts =>
    post(text, { target, headers });

  it('keeps those to the paths that are named, by their body and the fields that are named', async () => {
    const rig = new CacheRig(SEARCH, [answers(JSON_TYPE, ['{}'])]);
    await rig.get(search('{"q":1}', ['x-index', 'a']));
    expect((await rig.get(search('{ "q":1}', ['x-index', 'a']))).from).toBe('cache');
    expect((await rig.get(search('{"q":1}', ['x-index', 'b']))).from).toBe('upstream');
    expect((await rig.get(search('{"q":2}', ['x-index', 'a']))).from).toBe('upstream');
    await rig.get(search('{"q":1}', ['x-index', 'a'], '/other'));
    expect(rig.results.at(-1)).toBe('bypass');
  });

  it.each([
    ['a cookie', ['set-cookie', 'a=b']],
    ['private', ['cache-control', 'private']],
    ['no-store', ['cache-control', 'no-store']],
  ])('keeps none with %s', async (_, headers) => {
    const rig = new CacheRig(SEARCH, [answers(headers, ['{}'])]);
    await rig.get(search('{}'));
    expect((await rig.get(search('{}'))).from).toBe('upstream');
  });

  it('lets a client insist on a new answer', async () => {
    const rig = new CacheRig(SEARCH, [answers(JSON_TYPE, ['{}'])]);
    await rig.get(search('{}'));
    expect((await rig.get(search('{}', ['cache-control', 'no-cache']))).from).toBe('upstream');
    expect((await rig.get(search('{}', ['cache-control', 'no-store']))).from).toBe('upstream');
  });
});
