/** Answers past their time: while a new one is fetched, instead of an error, and for a ladder. */
import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { PacedSource } from '../streams/shared-rig.ts';
import { after, exchangeAt, fail, refuse, respond, silence } from '../support/policy-kit.ts';
import type { Step } from '../support/policy-kit.ts';
import { answer, answers, CacheRig, notModified, read } from './cache-rig.ts';

const STATED = ['cache-control', 'max-age=10, stale-while-revalidate=20, stale-if-error=40'] as const;
const SHORT = ['cache-control', 'max-age=10'] as const;
const OWN = { staleWhileRevalidate: '20s', staleIfError: '40s' } as const;

/** With one answer in it that is as old as said. */
async function aged(
  ms: number,
  { options = {} as object, headers = STATED as readonly string[] },
  ...then: readonly Step<Exchange>[]
): Promise<CacheRig> {
  const rig = new CacheRig(options, [answers(headers, ['old']), ...then]);
  await rig.get();
  await rig.clock.advance(ms);
  return rig;
}

describe('cache: stale while revalidate', () => {
  it.each([
    ['as the answer says', {}, STATED],
    ['as the operator says', OWN, SHORT],
  ])('answers at once and renews in the background, %s', async (_, options, headers) => {
    const rig = await aged(15_000, { options, headers }, answers(SHORT, ['new']));
    const stale = await rig.get();
    expect(stale).toMatchObject({ from: 'cache', text: 'old', age: '15' });
    expect(stale.cacheStatus).toMatch(/^outrigger; hit; ttl=-5; key="[^"]+"; detail=stale-while-revalidate$/);
    expect(await rig.get()).toMatchObject({ from: 'cache', text: 'new', age: '0' });
    expect(rig.asked).toBe(2);
    expect(rig.results).toEqual(['miss', 'stale', 'hit']);
    expect(rig.kit.events.of('cache-refreshed')).toMatchObject([{ result: 'replaced' }]);
  });

  it('asks itself when that time, too, is over', async () => {
    const rig = await aged(30_000, {}, answers(SHORT, ['new']));
    expect(await rig.get()).toMatchObject({ from: 'upstream', text: 'new' });
  });

  it('asks whether it still holds, on behalf of nobody', async () => {
    const headers = [...STATED, 'etag', '"one"'];
    const rig = await aged(15_000, { headers }, notModified(['etag', '"one"', ...SHORT]));
    const { exchange } = rig.start({ request: { headers: ['if-none-match', '"client"'] } });
    await rig.clock.advance(0);
    expect(rig.lastAsked('if-none-match')).toBe('"one"');
    const [, asked] = rig.upstream.calls;
    expect(asked?.scope.attempts).not.toBe(exchange.attempts);
    expect(asked?.scope.id).toBe(exchange.id);
    expect(asked?.cancellation).not.toBe(exchange.cancellation);
    expect(rig.kit.events.of('cache-refreshed')).toMatchObject([{ result: 'revalidated' }]);
    expect(await rig.get()).toMatchObject({ text: 'old', age: '0' });
  });

  it('asks on behalf of nobody also where it has no validators: with no conditions at all', async () => {
    const rig = await aged(15_000, {}, answers(SHORT, ['new']));
    rig.start({ request: { headers: ['If-Modified-Since', new Date(0).toUTCString()] } });
    await rig.clock.advance(0);
    expect(rig.lastAsked('if-modified-since')).toBeUndefined();
    expect(await rig.get()).toMatchObject({ from: 'cache', text: 'new' });
  });

  it('renews one at a time, and goes on when the client leaves', async () => {
    const rig = await aged(15_000, {}, (scope, cancellation) =>
      after(rig.clock, 1_000, answer(SHORT, ['new']))(scope, cancellation),
    );
    const { exchange } = rig.start();
    await rig.clock.advance(0);
    exchange.cancellation.cancel('client-aborted');
    for (let i = 0; i < 5; i++) expect((await rig.get()).text).toBe('old');
    expect(rig.asked).toBe(2);
    await rig.clock.advance(1_000);
    expect((await rig.get()).text).toBe('new');
    expect(rig.asked).toBe(2);
    expect(rig.policy.snapshot()).toMatchObject({ flights: 0, refreshing: 0, bytesOnTheirWay: 0 });
  });

  it('keeps the old answer when there is no new one, and tries again with the next request', async () => {
    const rig = await aged(
      15_000,
      {},
      fail(),
      refuse('circuit_open'),
      answers([], [''], 503),
      answers(SHORT, ['new']),
    );
    for (let i = 0; i < 4; i++) expect((await rig.get()).text).toBe('old');
    expect((await rig.get()).text).toBe('new');
    const results = rig.kit.events.of('cache-refreshed').map(({ result }) => result);
    expect(results).toEqual(['failed', 'failed', 'failed', 'replaced']);
  });

  it('gives the old answer up when there is one that must not be kept', async () => {
    const rig = await aged(15_000, {}, answers(['cache-control', 'no-store'], ['secret']));
    expect((await rig.get()).text).toBe('old');
    expect(rig.kit.events.of('cache-refreshed')).toMatchObject([{ result: 'gone' }]);
    expect((await rig.get()).from).toBe('upstream');
  });

  it('gives the background no more time than the exchange had', async () => {
    const rig = await aged(15_000, {}, silence);
    const exchange = exchangeAt(rig.clock);
    exchange.deadlineAt = rig.clock.now() + 5_000;
    await rig.policy.run(exchange, rig.upstream.next, exchange.cancellation);
    await rig.clock.advance(4_999);
    expect(rig.upstream.calls.at(-1)?.cancellation.cancelled).toBe(false);
    await rig.clock.advance(1);
    expect(rig.upstream.calls.at(-1)?.cancellation.reason).toBe('deadline');
    expect(rig.policy.snapshot()).toMatchObject({ refreshing: 0, flights: 0 });
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('ends with the policy', async () => {
    const rig = await aged(15_000, {}, silence);
    await rig.get();
    expect(rig.policy.snapshot()).toMatchObject({ refreshing: 1 });
    rig.policy.dispose();
    await rig.clock.advance(0);
    expect(rig.policy.snapshot()).toMatchObject({ refreshing: 0, flights: 0 });
    expect(rig.upstream.calls.at(-1)?.cancellation.reason).toBe('shutdown');
  });

  it('reads no answer without end', async () => {
    const source = new PacedSource();
    const rig = await aged(15_000, { options: { maxEntryBytes: '1KiB' } }, () =>
      respond(200, { headers: SHORT, body: source }),
    );
    await rig.get();
    source.push('x'.repeat(900));
    expect(rig.upstream.calls.at(-1)?.cancellation.cancelled).toBe(false);
    source.push('x'.repeat(900));
    expect(rig.upstream.calls.at(-1)?.cancellation.cancelled).toBe(true);
    source.breakOff();
    await rig.clock.advance(0);
    expect(rig.policy.snapshot()).toMatchObject({ refreshing: 0, bytesOnTheirWay: 0 });
    expect((await rig.get()).text).toBe('old');
  });

  it('renews no more than 32 at a time', async () => {
    const rig = new CacheRig(OWN, [
      (scope, cancellation) =>
        scope.request.headers.length > 0 ? silence(scope, cancellation) : answer(SHORT),
    ]);
    const targets = Array.from({ length: 40 }, (_, n) => `/${n}`);
    for (const target of targets) await rig.get({ request: { target } });
    await rig.clock.advance(15_000);
    for (const target of targets) await rig.get({ request: { target, headers: ['x-slow', '1'] } });
    expect(rig.policy.snapshot()).toMatchObject({ refreshing: 32 });
    rig.policy.dispose();
  });
});

describe('cache: stale if error', () => {
  it.each([
    ['a failure', fail(), ''],
    ['a refusal', refuse('circuit_open'), ''],
    ['a 503', answers([], [''], 503), '; fwd-status=503'],
    ['a 429', answers([], [''], 429), '; fwd-status=429'],
  ])('stands in for %s', async (_, step, status) => {
    for (const [options, headers] of [
      [{}, STATED],
      [OWN, SHORT],
    ] as const) {
      const rig = await aged(49_000, { options, headers }, step);
      const stale = await rig.get();
      expect(stale).toMatchObject({ from: 'cache', status: 200, text: 'old', age: '49' });
      expect(stale.cacheStatus).toBe(`outrigger; fwd=stale${status}; ttl=-39; detail=stale-if-error`);
      expect(rig.results).toEqual(['miss', 'stale']);
      await rig.clock.advance(1_000);
      expect((await rig.outcomeOf()) as object).not.toMatchObject({ from: 'cache' });
    }
  });

  it.each([404, 401, 403])('does not stand in for a %i: that is an answer', async (status) => {
    const rig = await aged(35_000, {}, answers([], [''], status));
    expect(await rig.get()).toMatchObject({ status, from: 'upstream' });
  });

  it.each(['must-revalidate', 'proxy-revalidate', 'no-cache', 's-maxage=10'])(
    'never stands in against %s',
    async (word) => {
      const headers = ['cache-control', `max-age=10, ${word}`, 'etag', '"one"'];
      const rig = await aged(15_000, { options: OWN, headers }, fail());
      expect(await rig.outcomeOf()).toMatchObject({ kind: 'failure' });
      expect(rig.asked).toBe(2);
    },
  );

  it('leaves a client that has left alone', async () => {
    const rig = await aged(35_000, {}, silence);
    const { exchange, outcome } = rig.start();
    await rig.clock.advance(0);
    exchange.cancellation.cancel('client-aborted');
    await rig.clock.advance(0);
    expect(outcome()).toMatchObject({ kind: 'failure', reason: 'client_aborted' });
  });
});

describe('cache: for a ladder', () => {
  it('leaves what it has past its time, with its age, as often as it is wanted', async () => {
    const rig = await aged(100_000, { headers: SHORT }, fail());
    const { exchange, outcome } = rig.start();
    await rig.clock.advance(1_000);
    expect(outcome()).toMatchObject({ kind: 'failure' });
    expect(exchange.staleAnswer?.staleForMs()).toBe(91_000);
    for (let i = 0; i < 2; i++) {
      const stale = exchange.staleAnswer?.open(new Cancellation());
      if (!stale) throw new Error('nothing was left');
      expect(stale.verdict).toEqual(verdictOf('ok'));
      const seen = read(stale);
      expect(seen).toMatchObject({ from: 'cache', text: 'old', age: '101' });
      expect(seen.cacheStatus).toBe('outrigger; fwd=stale; ttl=-91; detail=fallback');
    }
  });

  it('leaves nothing once it is past keepStale, nor what must not be used', async () => {
    const late = await aged(70_000, { options: { keepStale: '1m' }, headers: SHORT }, fail());
    const first = late.start();
    await late.clock.advance(0);
    expect(first.exchange.staleAnswer).toBeUndefined();
    const headers = ['cache-control', 'max-age=10, must-revalidate', 'etag', '"one"'];
    const sworn = await aged(20_000, { headers }, fail());
    const second = sworn.start();
    await sworn.clock.advance(0);
    expect(second.exchange.staleAnswer).toBeUndefined();
  });

  it('keeps for it also what is never fresh', async () => {
    const rig = new CacheRig({}, [answers([]), fail()]);
    await rig.get();
    const { exchange } = rig.start();
    await rig.clock.advance(0);
    expect(exchange.staleAnswer).toBeDefined();
    expect(rig.asked).toBe(2);
  });
});
