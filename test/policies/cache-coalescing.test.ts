/** Those who ask the same at the same time share one exchange with the upstream. */
import { describe, expect, it } from 'vitest';
import { openai } from '../../src/dialects/openai.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { PacedSource, read } from '../streams/shared-rig.ts';
import type { PausingSink } from '../streams/shared-rig.ts';
import { after, exchangeAt, fail, refuse, respond, silence } from '../support/policy-kit.ts';
import { answer, answers, CacheRig, delayed, post } from './cache-rig.ts';
import type { Visit } from './cache-rig.ts';

const FRESH = ['cache-control', 'max-age=60'] as const;

function sinkOf({ outcome }: Visit): PausingSink {
  const settled = outcome();
  if (settled?.kind !== 'response') throw new Error(`no response: ${settled?.reason ?? 'nothing yet'}`);
  return read(settled.body);
}

interface SharedSettings {
  readonly options?: object;
  readonly headers?: readonly string[];
}

/** One exchange with a slow body, and `joiners` who wait with the first. */
async function shared(joiners: number, { options = {}, headers = FRESH }: SharedSettings = {}) {
  const source = new PacedSource();
  const rig = new CacheRig(options, (clock) => [
    (scope, cancellation) => {
      cancellation.onCancel(() => source.breakOff('client-aborted'));
      return after(clock, 100, respond(200, { headers, body: source, attempt: 1 }))(scope, cancellation);
    },
    answers(headers, ['second']),
  ]);
  const visits = Array.from({ length: joiners + 1 }, () => rig.start());
  await rig.clock.advance(100);
  return { rig, source, visits };
}

describe('cache: coalescing', () => {
  it('asks once for all, and gives each of them all of it', async () => {
    const { rig, source, visits } = await shared(3);
    const sinks = visits.map(sinkOf);
    source.push('one ', 'two');
    expect(sinks.map(({ text }) => text)).toEqual(Array(4).fill('one two'));
    const late = rig.start();
    await rig.clock.advance(0);
    const lateSink = sinkOf(late);
    expect(lateSink.chunks.map(String)).toEqual(['one ', 'two']);
    source.push(' three');
    source.finish(['x-t', '1']);
    for (const sink of [...sinks, lateSink])
      expect(sink).toMatchObject({ text: 'one two three', trailers: ['x-t', '1'], ends: 1 });
    expect(rig.asked).toBe(1);
    expect(rig.results).toEqual(['miss', 'joined', 'joined', 'joined', 'joined']);
    expect(rig.policy.snapshot()).toMatchObject({ flights: 0, entries: 1, bytesOnTheirWay: 0 });
    expect((await rig.get()).text).toBe('one two three');
    expect(visits.every(({ exchange }) => exchange.cancellation.listenerCount === 0)).toBe(true);
  });

  it('says who asked, and whose answer it is', async () => {
    const { visits, source } = await shared(1, { headers: [...FRESH, 'content-type', 'a/b'] });
    const [first, second] = visits.map(({ outcome }) => outcome() as Extract<Outcome, { kind: 'response' }>);
    expect(first).toMatchObject({ from: 'upstream', attempt: 1 });
    expect(first?.head.headers.join(' ')).toMatch(
      /a\/b cache-status outrigger; fwd=uri-miss; stored; key="[^"]+"$/,
    );
    expect(second).toMatchObject({ from: 'cache' });
    expect(second).not.toHaveProperty('attempt');
    expect(second?.head.headers.join(' ')).toMatch(
      /a\/b cache-status outrigger; fwd=uri-miss; stored; collapsed; key=/,
    );
    source.finish();
  });

  it('goes on for the others when the first leaves, before the answer and in its middle', async () => {
    const { rig, source, visits } = await shared(2);
    const [first, second, third] = visits as [Visit, Visit, Visit];
    const sinks = visits.map(sinkOf);
    source.push('one ');
    first.exchange.cancellation.cancel('client-aborted');
    source.push('two');
    source.finish();
    expect(sinks[0]).toMatchObject({ text: 'one ', aborted: { end: 'client-aborted' } });
    expect(sinks.slice(1).map(({ text }) => text)).toEqual(['one two', 'one two']);
    expect(rig.upstream.calls[0]?.cancellation.cancelled).toBe(false);
    expect(second.exchange.attempts).toEqual([]);
    expect(third.exchange.attempts).not.toBe(first.exchange.attempts);

    const early = new CacheRig({}, (clock) => [delayed(clock, 50, () => respond(200, { headers: FRESH }))]);
    const [leader, joiner] = [early.start(), early.start()];
    await early.clock.advance(10);
    leader.exchange.cancellation.cancel('client-aborted');
    await early.clock.advance(0);
    expect(leader.outcome()).toMatchObject({
      kind: 'failure',
      reason: 'client_aborted',
      verdict: { class: 'abandoned' },
    });
    await early.clock.advance(40);
    expect(joiner.outcome()).toMatchObject({ kind: 'response', from: 'cache' });
    expect(early.asked).toBe(1);
  });

  it('ends it when nobody is left, and only then', async () => {
    const { rig, source, visits } = await shared(1);
    visits.map(sinkOf);
    source.push('one');
    visits[0]?.exchange.cancellation.cancel('client-aborted');
    expect(rig.upstream.calls[0]?.cancellation.cancelled).toBe(false);
    visits[1]?.exchange.cancellation.cancel('deadline');
    expect(rig.upstream.calls[0]?.cancellation.reason).toBe('deadline');
    expect(rig.policy.snapshot()).toMatchObject({ flights: 0, entries: 0, bytesOnTheirWay: 0 });

    const waiting = new CacheRig({}, [silence]);
    const all = [waiting.start(), waiting.start()];
    await waiting.clock.advance(1);
    for (const { exchange } of all) exchange.cancellation.cancel('client-aborted');
    await waiting.clock.advance(0);
    expect(waiting.upstream.calls[0]?.cancellation.reason).toBe('client-aborted');
    expect(waiting.policy.snapshot()).toMatchObject({ flights: 0 });
    waiting.start();
    await waiting.clock.advance(0);
    expect(waiting.asked).toBe(2);
  });

  it('waits as long as the most patient of them', async () => {
    const rig = new CacheRig({}, [silence]);
    const bounded = (deadlineAt: number): Exchange => {
      const exchange = exchangeAt(rig.clock);
      exchange.deadlineAt = deadlineAt;
      void rig.policy.run(exchange, rig.upstream.next, exchange.cancellation);
      return exchange;
    };
    const visits = [bounded(2_000), bounded(5_000), bounded(3_000)];
    expect(rig.upstream.calls[0]?.scope.deadlineAt).toBe(5_000);
    expect(visits[0]?.deadlineAt).toBe(2_000);
    for (const { cancellation } of visits) cancellation.cancel('client-aborted');
    await rig.clock.advance(0);
    expect(rig.asked).toBe(1);
  });

  it('lets nobody wait for a slow reader, nor a slow reader lose anything', async () => {
    const { source, visits } = await shared(1);
    const [quick, slow] = visits.map(({ outcome }) => outcome()) as Extract<Outcome, { kind: 'response' }>[];
    const quickSink = read(quick?.body);
    const slowSink = read(slow?.body, true);
    source.push('one ', 'two ', 'three');
    source.finish();
    expect(quickSink).toMatchObject({ text: 'one two three', ends: 1 });
    expect(slowSink).toMatchObject({ text: 'one ', ends: 0 });
    slowSink.drain();
    expect(slowSink).toMatchObject({ text: 'one two three', ends: 1 });
  });

  it('lets nobody join what has grown too large, and keeps none of it', async () => {
    const { rig, source, visits } = await shared(1, { options: { maxEntryBytes: '1KiB' } });
    const sinks = visits.map(sinkOf);
    source.push('x'.repeat(900), 'y'.repeat(900));
    const late = await rig.get();
    expect(late).toMatchObject({ from: 'upstream', text: 'second' });
    source.finish();
    expect(sinks.map(({ text }) => text.length)).toEqual([1_800, 1_800]);
    expect(rig.kept).toEqual(['stored', 'too-large']);
    expect(rig.policy.snapshot()).toMatchObject({ bytesOnTheirWay: 0 });
  });

  it('holds no more on the way than maxBytes allows, all answers together', async () => {
    const { rig, source, visits } = await shared(0, { options: { maxBytes: '1KiB', maxEntryBytes: '1KiB' } });
    visits.map(sinkOf);
    source.push('x'.repeat(700));
    expect(rig.policy.snapshot()).toMatchObject({ bytesOnTheirWay: 764 });
    const other = new PacedSource();
    const exchange = exchangeAt(rig.clock, { request: { target: '/other' } });
    const upstream = (): Promise<Outcome> => Promise.resolve(respond(200, { headers: FRESH, body: other }));
    const outcome = await rig.policy.run(exchange, upstream, exchange.cancellation);
    if (outcome.kind !== 'response') throw new Error('no response');
    const sink = read(outcome.body);
    other.push('y'.repeat(700));
    other.finish();
    expect(sink.text).toHaveLength(700);
    expect(rig.policy.snapshot()['bytesOnTheirWay']).toBeLessThanOrEqual(1_024);
    expect(rig.kept).toContain('too-large');
    source.finish();
  });

  it('lets so many join and no more', async () => {
    const { rig, source } = await shared(3, { options: { coalesce: { maxJoiners: 2 } } });
    expect(rig.asked).toBe(2);
    source.finish();
  });

  it('shares a failure, for it is the same for all, but no refusal, which may be about one’s time', async () => {
    const failing = new CacheRig({}, (clock) => [
      delayed(clock, 10, () => fail('connection_reset', { attempt: 1 })),
    ]);
    const failed = [failing.start(), failing.start(), failing.start()];
    await failing.clock.advance(10);
    for (const { outcome } of failed)
      expect(outcome()).toMatchObject({ kind: 'failure', reason: 'connection_reset' });
    expect(failed[1]?.outcome()).not.toHaveProperty('attempt');
    expect(failing.asked).toBe(1);

    const refusing = new CacheRig({}, (clock) => [delayed(clock, 10, () => refuse('paced')), answers(FRESH)]);
    const refused = [refusing.start(), refusing.start()];
    await refusing.clock.advance(10);
    expect(refused.map(({ outcome }) => outcome()?.kind)).toEqual(['rejection', 'response']);
  });

  it('shares an error of the upstream', async () => {
    const rig = new CacheRig({}, (clock) => [delayed(clock, 10, () => answer([], ['busy'], 503))]);
    const visits = [rig.start(), rig.start()];
    await rig.clock.advance(10);
    expect(visits.map(sinkOf).map(({ text }) => text)).toEqual(['busy', 'busy']);
    expect(rig.asked).toBe(1);
  });

  it.each([
    ['private', ['cache-control', 'private']],
    ['with a cookie', ['set-cookie', 'a=b']],
    ['an endless stream', ['content-type', 'text/event-stream', ...FRESH]],
  ])('shares no answer that is %s, and does not wait for the next of them', async (_, headers) => {
    const rig = new CacheRig({}, (clock) => [delayed(clock, 10, () => respond(200, { headers }))]);
    const visits = [rig.start(), rig.start()];
    await rig.clock.advance(20);
    expect(rig.asked).toBe(2);
    expect(visits.map(({ outcome }) => outcome()?.kind)).toEqual(['response', 'response']);
    for (let i = 0; i < 3; i++) rig.start();
    await rig.clock.advance(0);
    expect(rig.asked).toBe(5);
    await rig.clock.advance(60_000);
    for (let i = 0; i < 3; i++) rig.start();
    await rig.clock.advance(0);
    expect(rig.asked).toBe(6);
  });

  it('gives nobody the answer to those who ask in another way', async () => {
    const headers = [...FRESH, 'vary', 'accept-language'];
    const rig = new CacheRig({}, (clock) => [
      delayed(clock, 10, ({ request }) => answer(headers, [request.headers[1] ?? ''])),
    ]);
    const visits = ['de', 'fr', 'de'].map((language) =>
      rig.start({ request: { headers: ['accept-language', language] } }),
    );
    await rig.clock.advance(20);
    expect(visits.map(sinkOf).map(({ text }) => text)).toEqual(['de', 'fr', 'de']);
    expect(rig.asked).toBe(2);
  });

  it('shares one question whether a copy still holds', async () => {
    const rig = new CacheRig({}, (clock) => [
      answers(['cache-control', 'max-age=1', 'etag', '"one"']),
      delayed(clock, 10, () => answer(['etag', '"one"', ...FRESH], [], 304)),
    ]);
    await rig.get();
    await rig.clock.advance(2_000);
    const visits = [rig.start(), rig.start()];
    await rig.clock.advance(10);
    expect(visits.map(sinkOf).map(({ text }) => text)).toEqual(['hello', 'hello']);
    expect(rig.asked).toBe(2);
    expect(rig.results).toEqual(['miss', 'revalidated', 'joined']);
  });

  it('shares no exchange that was begun before a change', async () => {
    const rig = new CacheRig({}, (clock) => [
      delayed(clock, 50, () => answer(FRESH, ['before'])),
      respond(204),
      answers(FRESH, ['after']),
    ]);
    const before = rig.start();
    await rig.clock.advance(10);
    await rig.outcomeOf({ request: { method: 'DELETE' } });
    expect((await rig.get()).text).toBe('after');
    await rig.clock.advance(40);
    expect(sinkOf(before).text).toBe('before');
    expect((await rig.get()).text).toBe('after');
  });

  it('shares calls that are declared, with a body that outlives its client', async () => {
    const source = new PacedSource();
    const rig = new CacheRig({ models: { ttl: '1m' } }, (clock) => [
      delayed(clock, 10, () => respond(200, { body: source })),
    ]);
    const parts = { ...post('{"model":"m","stream":true}'), upstream: { dialect: openai } };
    const visits = [rig.start(parts), rig.start(parts)];
    await rig.clock.advance(10);
    const asked = rig.upstream.calls[0]?.scope;
    expect(asked?.body).not.toBe(parts.body);
    expect(Buffer.from((await asked?.body.whole()) ?? []).toString()).toBe('{"model":"m","stream":true}');
    source.push('data: [DONE]\n\n');
    source.finish();
    expect(visits.map(sinkOf).map(({ text }) => text)).toEqual(Array(2).fill('data: [DONE]\n\n'));
    expect(rig.asked).toBe(1);
  });

  it.each([
    ['insists on a new answer', { headers: ['cache-control', 'no-cache'] }],
    ['has a copy of its own', { headers: ['if-none-match', '"x"'] }],
    ['wants the head alone', { method: 'HEAD' }],
  ])('asks alone for who %s', async (_, request) => {
    const rig = new CacheRig({}, (clock) => [delayed(clock, 10, () => respond(200, { headers: FRESH }))]);
    rig.start({ request });
    rig.start({ request });
    await rig.clock.advance(10);
    expect(rig.asked).toBe(2);
    expect(rig.upstream.calls[0]?.scope.cancellation).toBe(rig.upstream.calls[0]?.cancellation);
  });

  it('works where nothing is kept', async () => {
    const rig = new CacheRig({ keepStale: '0s' }, (clock) => [delayed(clock, 10, () => answer([]))]);
    const visits = [rig.start(), rig.start()];
    await rig.clock.advance(10);
    expect(visits.map(sinkOf).map(({ text }) => text)).toEqual(['hello', 'hello']);
    expect(rig.asked).toBe(1);
    expect(rig.policy.snapshot()).toMatchObject({ entries: 0 });
  });
});
