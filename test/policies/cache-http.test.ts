/** Answers to GET and HEAD: what RFC 9111 allows, and what it forbids. */
import { describe, expect, it } from 'vitest';
import { NO_BODY } from '../../src/core/request-bodies.ts';
import { fail, respond } from '../support/policy-kit.ts';
import { answer, answers, CacheRig, delayed, notModified } from './cache-rig.ts';

const MAX_AGE = ['cache-control', 'max-age=60'] as const;
const TAGGED = ['cache-control', 'max-age=10', 'etag', '"one"'] as const;

describe('cache: what is kept', () => {
  it('answers a second GET with what the first one got, marked with its age', async () => {
    const rig = new CacheRig({}, [answers([...MAX_AGE, 'content-type', 'text/plain'], ['he', 'llo'])]);
    expect(await rig.get()).toMatchObject({ from: 'upstream', text: 'hello', age: undefined });
    await rig.clock.advance(7_900);
    const second = await rig.get();
    expect(second).toMatchObject({ status: 200, from: 'cache', text: 'hello', chunks: 2, age: '7' });
    expect(second.cacheStatus).toMatch(/^outrigger; hit; ttl=52; key="[\w-]{32}"$/);
    expect(rig.asked).toBe(1);
    expect(rig.results).toEqual(['miss', 'hit']);
  });

  it('says of the first answer that it was stored, and under which key', async () => {
    const rig = new CacheRig({}, [answers(MAX_AGE)]);
    expect((await rig.get()).cacheStatus).toMatch(/^outrigger; fwd=uri-miss; stored; key="[\w-]{32}"$/);
  });

  it('states how stale an answer with a short time of the operator’s own is, and asks again after it', async () => {
    const rig = new CacheRig({ get: { ttl: '5s' } }, [answers([], ['old']), answers([], ['new'])]);
    await rig.get();
    await rig.clock.advance(4_999);
    expect(await rig.get()).toMatchObject({ text: 'old', age: '4' });
    await rig.clock.advance(1);
    expect(await rig.get()).toMatchObject({ text: 'new', from: 'upstream' });
  });

  it('takes the upstream’s word before the operator’s, unless it is overridden', async () => {
    const times = async (options: object, headers: readonly string[], ms: number): Promise<number> => {
      const rig = new CacheRig(options, [answers(headers)]);
      await rig.get();
      await rig.clock.advance(ms);
      await rig.get();
      return rig.asked;
    };
    const short = { get: { ttl: '5s' } };
    const sworn = { get: { ttl: '5s', override: true } };
    expect(await times(short, ['cache-control', 'max-age=60'], 59_000)).toBe(1);
    expect(await times(short, ['cache-control', 'max-age=0'], 1)).toBe(2);
    expect(await times(short, ['cache-control', 'no-cache'], 1)).toBe(2);
    expect(await times(sworn, ['cache-control', 'max-age=60'], 5_000)).toBe(2);
    expect(await times(sworn, ['cache-control', 'max-age=0, no-cache'], 4_999)).toBe(1);
    expect(await times(sworn, ['cache-control', 'no-store'], 1)).toBe(2);
  });

  it.each([
    ['no-store', ['cache-control', 'max-age=60, no-store']],
    ['NO-STORE in capitals', ['Cache-Control', 'max-age=60, NO-STORE']],
    ['private', ['cache-control', 'private, max-age=60']],
    ['private for some fields', ['cache-control', 'max-age=60, private="x, y"']],
    ['a cookie', [...MAX_AGE, 'set-cookie', 'a=b']],
    ['Vary: *', [...MAX_AGE, 'vary', 'accept, *']],
    ['a part', [...MAX_AGE, 'content-range', 'bytes 0-4/9']],
  ])('keeps no answer with %s', async (_, headers) => {
    const rig = new CacheRig({ get: { ttl: '1m' } }, [answers(headers)]);
    await rig.get();
    expect((await rig.get()).cacheStatus).toBe('outrigger; fwd=uri-miss');
    expect(rig.asked).toBe(2);
    expect(rig.kept).toEqual(['forbidden', 'forbidden']);
  });

  it.each([206, 302, 404, 500])('keeps no answer with status %i by the operator’s time', async (status) => {
    const rig = new CacheRig({ get: { ttl: '1m' } }, [answers([], ['x'], status)]);
    await rig.get();
    await rig.get();
    expect(rig.asked).toBe(2);
  });

  it('keeps nothing of an answer that broke off', async () => {
    const rig = new CacheRig({ coalesce: false }, [() => respond(200, { headers: MAX_AGE })]);
    const { outcome } = rig.start();
    await rig.clock.advance(1);
    const first = outcome();
    expect(first).toMatchObject({ kind: 'response' });
    const [given] = rig.upstream.given;
    if (given?.kind === 'response') (given.body as unknown as { breakOff(): void }).breakOff();
    await rig.clock.advance(1);
    expect(rig.kept).toEqual(['not-good']);
    await rig.outcomeOf();
    expect(rig.asked).toBe(2);
  });

  it('keeps apart who asks with which credential, at which address, and agents where told to', async () => {
    const rig = new CacheRig({ perAgent: true }, [answers(MAX_AGE)]);
    const requests = [
      {},
      { request: { headers: ['authorization', 'Bearer a'] } },
      { request: { headers: ['authorization', 'Bearer b'] } },
      { request: { headers: ['x-api-key', 'Bearer a'] } },
      { request: { headers: ['cookie', 'Bearer a'] } },
      { request: { target: '/v1/things?' } },
      { request: { host: 'other.test' } },
      { route: '/other' },
      { agentId: 'a' },
      { agentId: 'b' },
    ];
    for (const one of requests) expect((await rig.get(one)).from).toBe('upstream');
    for (const one of requests) expect((await rig.get(one)).from).toBe('cache');
  });

  it('cannot be made to take one request for another by what stands in its fields', async () => {
    const rig = new CacheRig({}, [answers([...MAX_AGE, 'vary', 'a, b'])]);
    for (const headers of [
      ['a', 'x', 'b', 'y'],
      ['a', 'x","b","y'],
      ['a', 'x', 'a', 'y'],
      ['a', 'x, y'],
      ['b', 'x'],
    ])
      expect((await rig.getWith(headers)).from).toBe('upstream');
  });

  it('keeps an answer for each value of what it varies by', async () => {
    const vary = [...MAX_AGE, 'vary', 'Accept-Language'];
    const rig = new CacheRig({}, [({ request }) => answer(vary, [request.headers[1] ?? ''])]);
    expect((await rig.getWith(['accept-language', 'de'])).text).toBe('de');
    const french = await rig.getWith(['Accept-Language', 'fr']);
    expect(french.text).toBe('fr');
    expect(french.cacheStatus).toMatch(/^outrigger; fwd=vary-miss; stored/);
    expect(await rig.getWith(['accept-language', 'de'])).toMatchObject({ from: 'cache', text: 'de' });
    expect(await rig.getWith(['accept-language', 'fr'])).toMatchObject({ from: 'cache', text: 'fr' });
    expect(rig.asked).toBe(2);
  });

  it('repeats no field that was about the moment', async () => {
    const moment = [
      'x-ratelimit-remaining-requests',
      '7',
      'retry-after',
      '3',
      'age',
      '20',
      'x-request-id',
      'r',
    ];
    const rig = new CacheRig({}, [answers([...MAX_AGE, ...moment])]);
    await rig.get();
    const outcome = await rig.outcomeOf();
    const names = outcome.kind === 'response' ? outcome.head.headers.filter((_, at) => at % 2 === 0) : [];
    expect(names).toEqual(['cache-control', 'x-request-id', 'age', 'cache-status']);
    expect((await rig.get()).age).toBe('20');
  });

  it('counts the age that an answer has when it comes, by its Age and by its Date', async () => {
    const rig = new CacheRig({}, [answers([...MAX_AGE, 'age', '55'])]);
    await rig.get();
    await rig.clock.advance(5_000);
    expect((await rig.get()).from).toBe('upstream');
    const date = new Date(rig.clock.wallMs() - 50_000).toUTCString();
    const dated = new CacheRig({}, [answers([...MAX_AGE, 'date', date])]);
    dated.clock.wallOffsetMs = rig.clock.now() - dated.clock.now();
    await dated.get();
    expect(Number((await dated.get()).age)).toBeGreaterThanOrEqual(50);
    await dated.clock.advance(10_000);
    expect((await dated.get()).from).toBe('upstream');
  });
});

describe('cache: what is asked of it', () => {
  it.each([
    ['a part', ['range', 'bytes=0-1']],
    ['nothing to be stored', ['cache-control', 'no-store']],
    ['a state of the upstream', ['if-match', '"one"']],
    ['the rest of a stream', ['last-event-id', '7']],
  ])('passes by a request that wants %s', async (_, headers) => {
    const rig = new CacheRig({}, [answers(MAX_AGE)]);
    await rig.get();
    expect((await rig.getWith(headers)).cacheStatus).toBeUndefined();
    expect(rig.asked).toBe(2);
    expect(rig.results).toEqual(['miss', 'bypass']);
  });

  it.each([
    ['no-cache', ['cache-control', 'no-cache']],
    ['no-cache of old', ['pragma', 'no-cache']],
    ['a younger one', ['cache-control', 'max-age=5']],
    ['one that stays fresh for longer', ['cache-control', 'min-fresh=55']],
  ])('asks the upstream for a client that wants %s', async (_, headers) => {
    const rig = new CacheRig({}, [answers(MAX_AGE)]);
    await rig.get();
    await rig.clock.advance(6_000);
    expect((await rig.getWith(headers)).cacheStatus).toMatch(/^outrigger; fwd=request; stored/);
    expect(rig.asked).toBe(2);
  });

  it('gives a client that puts up with it what is past its time', async () => {
    const rig = new CacheRig({}, [answers(MAX_AGE)]);
    await rig.get();
    await rig.clock.advance(70_000);
    const seen = await rig.getWith(['cache-control', 'max-stale=11']);
    expect(seen).toMatchObject({ from: 'cache', age: '70' });
    expect(seen.cacheStatus).toMatch(/^outrigger; hit; ttl=-10/);
    expect((await rig.getWith(['cache-control', 'max-stale=10'])).from).toBe('upstream');
  });

  it('refuses a client that wants a stored answer only, where there is none, and looks for no other upstream', async () => {
    const rig = new CacheRig({}, [answers(MAX_AGE)]);
    const refused = await rig.outcomeOf({ request: { headers: ['cache-control', 'only-if-cached'] } });
    expect(refused).toMatchObject({
      kind: 'rejection',
      reason: 'not_cached',
      verdict: { class: 'permanent' },
    });
    await rig.get();
    expect((await rig.getWith(['cache-control', 'only-if-cached'])).from).toBe('cache');
    expect(rig.asked).toBe(1);
  });

  it('answers HEAD from a GET, and keeps nothing of a HEAD', async () => {
    const rig = new CacheRig({}, [answers([...MAX_AGE, 'content-length', '5'])]);
    const head = { request: { method: 'HEAD' } };
    expect((await rig.get(head)).from).toBe('upstream');
    expect((await rig.get()).from).toBe('upstream');
    expect(await rig.get(head)).toMatchObject({ from: 'cache', status: 200, text: '' });
    expect(rig.asked).toBe(2);
  });

  it.each([
    ['its tag', ['if-none-match', '"zero", W/"one"'], 304],
    ['any', ['if-none-match', '*'], 304],
    ['another tag', ['if-none-match', '"two"'], 200],
    ['its date', ['if-modified-since', 'Thu, 01 Jan 2026 00:00:00 GMT'], 304],
    ['an older date', ['if-modified-since', 'Wed, 31 Dec 2025 23:59:59 GMT'], 200],
    [
      'another tag and its date',
      ['if-none-match', '"two"', 'if-modified-since', 'Thu, 01 Jan 2026 00:00:00 GMT'],
      200,
    ],
  ])('tells a client that has %s what it has', async (_, headers, status) => {
    const stored = [...TAGGED, 'last-modified', 'Thu, 01 Jan 2026 00:00:00 GMT', 'content-length', '5'];
    const rig = new CacheRig({}, [answers(stored)]);
    await rig.get();
    expect(await rig.getWith(headers)).toMatchObject({
      status,
      text: status === 304 ? '' : 'hello',
      age: '0',
    });
    expect(rig.asked).toBe(1);
  });

  it('is off for GET where told so', async () => {
    const rig = new CacheRig({ get: false }, [answers(MAX_AGE)]);
    await rig.get();
    await rig.get();
    expect(rig.results).toEqual(['bypass', 'bypass']);
  });
});

describe('cache: asking again', () => {
  it('asks with the validators that it has, and renews what still holds', async () => {
    const renewed = ['cache-control', 'max-age=20', 'etag', '"one"', 'x-new', '1'];
    const rig = new CacheRig({}, [answers(TAGGED), notModified(renewed)]);
    await rig.get();
    await rig.clock.advance(10_000);
    const second = await rig.get();
    expect(rig.lastAsked('if-none-match')).toBe('"one"');
    expect(second).toMatchObject({ status: 200, text: 'hello', from: 'cache', age: '0' });
    expect(second.cacheStatus).toMatch(/^outrigger; fwd=stale; fwd-status=304; ttl=20; key=/);
    await rig.clock.advance(19_999);
    expect(await rig.get()).toMatchObject({ from: 'cache', age: '19' });
    expect(rig.asked).toBe(2);
    expect(rig.results).toEqual(['miss', 'revalidated', 'hit']);
  });

  it('gives the validators of a client to the upstream only where it has none of its own', async () => {
    const own = ['if-none-match', '"client"'];
    const rig = new CacheRig({}, [notModified(['etag', '"client"']), answers(TAGGED), notModified()]);
    expect(await rig.getWith(own)).toMatchObject({ status: 304, from: 'upstream' });
    expect(rig.lastAsked('if-none-match')).toBe('"client"');
    await rig.get();
    await rig.clock.advance(10_000);
    expect(await rig.getWith(own)).toMatchObject({ status: 200, text: 'hello' });
    expect(rig.lastAsked('if-none-match')).toBe('"one"');
  });

  it('replaces what does not hold any more', async () => {
    const rig = new CacheRig({}, [
      answers(TAGGED),
      answers(['cache-control', 'max-age=5', 'etag', '"two"'], ['new']),
    ]);
    await rig.get();
    await rig.clock.advance(10_000);
    expect(await rig.get()).toMatchObject({ text: 'new', from: 'upstream' });
    expect(await rig.get()).toMatchObject({ text: 'new', from: 'cache' });
  });

  it('believes no 304 that speaks of something else', async () => {
    const rig = new CacheRig({}, [
      answers(TAGGED),
      notModified(['etag', '"two"']),
      answers(TAGGED, ['whole']),
    ]);
    await rig.get();
    await rig.clock.advance(10_000);
    expect(await rig.get()).toMatchObject({ status: 200, text: 'whole', from: 'upstream' });
    expect(rig.lastAsked('if-none-match')).toBeUndefined();
    expect(rig.asked).toBe(3);
  });

  it('asks each time for what must be asked for each time', async () => {
    const rig = new CacheRig({}, [answers(['cache-control', 'no-cache', 'etag', '"one"']), notModified()]);
    await rig.get();
    expect(await rig.get()).toMatchObject({ from: 'cache', text: 'hello' });
    expect(await rig.get()).toMatchObject({ from: 'cache', text: 'hello' });
    expect(rig.asked).toBe(3);
  });

  it('forgets what is gone, and keeps what could not be asked for', async () => {
    const rig = new CacheRig({}, [answers(TAGGED), fail(), answers([], ['gone'], 404), fail()]);
    await rig.get();
    await rig.clock.advance(10_000);
    const failed = rig.start();
    await rig.clock.advance(0);
    expect(failed.exchange.staleAnswer).toBeDefined();
    await rig.get();
    const after = rig.start();
    await rig.clock.advance(0);
    expect(after.exchange.staleAnswer).toBeUndefined();
  });

  it('keeps what it has when the upstream tells one client that this has the same', async () => {
    const rig = new CacheRig({}, [answers(['cache-control', 'max-age=5']), notModified()]);
    await rig.get();
    await rig.clock.advance(10_000);
    expect(await rig.getWith(['if-none-match', '"client"'])).toMatchObject({ status: 304, from: 'upstream' });
    const later = rig.start();
    await rig.clock.advance(0);
    expect(later.exchange.staleAnswer).toBeDefined();
  });

  it('gives nobody else what the upstream says, on being asked again, to be for one', async () => {
    const told = ['cache-control', 'private, max-age=60', 'etag', '"one"'];
    const rig = new CacheRig({}, (clock) => [
      answers(TAGGED),
      delayed(clock, 1_000, () => answer(told, [], 304)),
      answers(TAGGED, ['own']),
    ]);
    await rig.get();
    await rig.clock.advance(10_000);
    const [first, other] = ['a', 'b'].map((who) => rig.start({ request: { headers: ['x-who', who] } }));
    await rig.clock.advance(1_000);
    expect(first?.outcome()).toMatchObject({ from: 'cache' });
    expect(other?.outcome()).toMatchObject({ from: 'upstream' });
  });

  it('asks on the terms of the exchange: one trail, and what is said of retries comes back', async () => {
    const rig = new CacheRig({}, [
      answers(TAGGED),
      (asked) => {
        asked.ownsRetries = true;
        return answer([], [], 304);
      },
    ]);
    await rig.get();
    await rig.clock.advance(10_000);
    const { exchange } = rig.start();
    await rig.clock.advance(0);
    const asked = rig.upstream.calls.at(-1)?.scope;
    expect(asked?.attempts).toBe(exchange.attempts);
    expect(asked?.id).toBe(exchange.id);
    expect(exchange.ownsRetries).toBe(true);
    expect(exchange.visited).toEqual(['main']);
  });
});

describe('cache: what makes answers void', () => {
  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])('lets go of what a %s may have changed', async (method) => {
    const rig = new CacheRig({}, [answers(MAX_AGE)]);
    const [one, other] = [{ request: { target: '/a' } }, { request: { target: '/b' } }];
    await rig.get(one);
    await rig.get({ request: { target: '/a', headers: ['authorization', 'x'] } });
    await rig.get(other);
    await rig.get({ request: { method, target: '/a' }, body: NO_BODY });
    expect((await rig.get(one)).from).toBe('upstream');
    expect((await rig.get(other)).from).toBe('cache');
  });

  it('keeps what a refused change has left as it was', async () => {
    const rig = new CacheRig({}, [answers(MAX_AGE), answers([], [''], 409), fail()]);
    await rig.get();
    await rig.outcomeOf({ request: { method: 'PUT' } });
    await rig.outcomeOf({ request: { method: 'PUT' } });
    expect((await rig.get()).from).toBe('cache');
  });

  it('does not store what was asked for before the change', async () => {
    const rig = new CacheRig({ coalesce: false }, [
      () => respond(200, { headers: MAX_AGE }),
      respond(204),
      answers(MAX_AGE),
    ]);
    const slow = rig.start();
    await rig.clock.advance(0);
    await rig.outcomeOf({ request: { method: 'PUT' } });
    const outcome = slow.outcome();
    const [given] = rig.upstream.given;
    if (outcome?.kind === 'response')
      outcome.body.pipe({ write: () => true, end: () => undefined, abort: () => undefined });
    if (given?.kind === 'response') (given.body as unknown as { complete(): void }).complete();
    await rig.clock.advance(0);
    expect(rig.kept).toEqual(['outdated']);
    expect((await rig.get()).from).toBe('upstream');
  });

  it('lets an operator let go of all, of a path, or of one answer, also while they are on their way', async () => {
    const rig = new CacheRig({}, [answers(MAX_AGE)]);
    const at = (target: string): object => ({ request: { target } });
    for (const target of ['/a/1?x=secret', '/a/2', '/b']) await rig.get(at(target));
    expect(await rig.policy.purge({ pathPrefix: '/a/' })).toBe(2);
    expect(rig.policy.snapshot()).toMatchObject({ entries: 1 });
    const key = /key="([^"]+)"/.exec((await rig.get(at('/b'))).cacheStatus ?? '')?.[1] ?? '';
    expect(await rig.policy.purge({ group: key })).toBe(1);
    expect(rig.policy.snapshot()).toMatchObject({ entries: 0, bytes: 0 });
    await rig.get(at('/a/1'));
    expect(await rig.policy.purge({})).toBe(1);
    expect(rig.kit.events.of('cache-purged').map(({ entries }) => entries)).toEqual([2, 1, 1]);
  });
});
