import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import { seededRandom } from '../../src/core/random.ts';
import { pacing } from '../../src/policies/pacing.ts';
import { settle } from '../support/fake-clock.ts';
import { after, exchangeAt, fail, refuse, respond } from '../support/policy-kit.ts';
import type { Step } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';
import { PacingRig, requestsLeft } from './pacing-rig.ts';

policyContract({ module: pacing, options: {}, scope: (clock) => exchangeAt(clock) });

/** Throttled, after a while, with the credential `main`. */
const slowly =
  (rig: PacingRig, ms: number): Step<Exchange> =>
  (exchange, cancellation) => {
    const answer = rig.answerTo('main', 429, ['retry-after', '60'])(exchange);
    return after(rig.clock, ms, answer)(exchange, cancellation);
  };

const REFUSED = { kind: 'rejection', reason: 'paced', by: 'pacing', verdict: { class: 'refused' } };

describe('pacing', () => {
  it('holds nobody while the provider says nothing', async () => {
    const rig = new PacingRig();
    const calls = Array.from({ length: 200 }, () => rig.start(after(rig.clock, 1_000, respond())));
    expect(calls.every(({ wentAt }) => wentAt() === 0)).toBe(true);
    await rig.until(1_000);
    expect(rig.kit.events.all).toEqual([]);
  });

  it('lets calls wait once nothing is left, and go when the reset has come', async () => {
    const rig = new PacingRig({ spread: '0s' });
    await rig.hear(0, '20s');
    const call = rig.start();
    await rig.until(19_999);
    expect(call.wentAt()).toBeUndefined();
    await rig.until(20_000);
    expect(call.wentAt()).toBe(20_000);
    expect(call.outcome()).toMatchObject({ kind: 'response' });
    expect(rig.kit.events.of('pacing-began')).toEqual([{ upstream: 'main', obstacle: 'requests' }]);
    expect(rig.kit.events.of('pacing-waited')).toMatchObject([{ waitedMs: 20_000, end: 'sent' }]);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('counts what is under way: not more calls go than were left', async () => {
    const rig = new PacingRig();
    await rig.hear(3, '20s');
    const calls = Array.from({ length: 5 }, () => rig.start(after(rig.clock, 5_000, respond())));
    expect(calls.map(({ wentAt }) => wentAt())).toEqual([0, 0, 0, undefined, undefined]);
    expect(rig.policy.snapshot()).toEqual({
      queued: 2,
      pausedForMs: 0,
      limits: [{ dimension: 'requests', limit: 10, remaining: 0 }],
    });
    await rig.until(60_000);
  });

  it('goes on as soon as an answer tells of room, before the reset', async () => {
    const rig = new PacingRig();
    await rig.hear(1, '60s');
    await rig.until(2_000);
    rig.start(after(rig.clock, 3_000, respond(200, { headers: requestsLeft(5, '55s') })));
    const waiting = rig.start();
    await rig.until(5_000);
    expect(waiting.wentAt()).toBe(5_000);
  });

  it('spreads those who waited for a reset, and never lets them go all at once', async () => {
    const rig = new PacingRig({ spread: '1s' }, { random: seededRandom(3) });
    await rig.hear(0, '10s', 100);
    const calls = Array.from({ length: 20 }, () => rig.start());
    await rig.until(12_000);
    const times = calls.map(({ wentAt }) => wentAt() ?? Number.NaN);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(Math.min(...times)).toBeGreaterThanOrEqual(10_000);
    expect(Math.max(...times)).toBeLessThanOrEqual(11_000);
    expect(Math.max(...times)).toBeGreaterThan(10_700);
    expect(new Set(times).size).toBe(20);
  });

  it('serves by priority, then by age, and lets waiting outweigh priority', async () => {
    const rig = new PacingRig({ spread: '10s', priority: { ageing: '4s' } });
    await rig.hear(0, '20s', 100);
    const low = rig.start(respond(), { priority: 'low' });
    await rig.until(5_000);
    const [first, second] = [rig.start(), rig.start(respond(), { priority: 'unheard-of' })];
    const high = rig.start(respond(), { priority: ' HIGH ' });
    await rig.until(10_000);
    const lateHigh = rig.start(respond(), { priority: 'high' });
    await rig.until(40_000);
    const order = [low, first, second, high, lateHigh]
      .map((call, index) => ({ index, at: call.wentAt() ?? Number.NaN }))
      .sort((a, b) => a.at - b.at)
      .map(({ index }) => index);
    // high 5 s - 4 s, low 0 s + 4 s, both normal at 5 s, the late one 10 s - 4 s.
    expect(order).toEqual([3, 0, 1, 2, 4]);
  });

  it('lets nobody overtake those who wait', async () => {
    const rig = new PacingRig({ spread: '1s' });
    await rig.hear(0, '10s', 100);
    const waiting = [rig.start(), rig.start(), rig.start()];
    await rig.until(10_001);
    const late = rig.start();
    await rig.until(20_000);
    for (const { wentAt } of waiting) expect(wentAt()).toBeLessThan(late.wentAt() ?? 0);
  });

  describe('refuses at once', () => {
    it('whom the reset would keep beyond maxWait, and says when it is', async () => {
      const rig = new PacingRig({ maxWait: '10s' });
      await rig.hear(0, '45s');
      const { outcome, wentAt } = await rig.call();
      expect(outcome()).toMatchObject({ ...REFUSED, retryAfterMs: 45_000 });
      expect(wentAt()).toBeUndefined();
      expect(rig.kit.events.of('pacing-refused')).toMatchObject([{ upstream: 'main', why: 'too-late' }]);
      expect(rig.kit.events.of('pacing-waited')).toEqual([]);
    });

    it('whom the reset would keep beyond its deadline', async () => {
      const rig = new PacingRig();
      await rig.hear(0, '45s');
      expect((await rig.call(respond(), { deadlineInMs: 44_000 })).outcome()).toMatchObject(REFUSED);
      expect((await rig.call(respond(), { deadlineInMs: 46_000 })).outcome()).toBeUndefined();
    });

    it('everyone while the line is full', async () => {
      const rig = new PacingRig({ maxQueue: 2 });
      await rig.hear(0, '30s');
      const waiting = [rig.start(), rig.start()];
      const { outcome } = await rig.call();
      expect(outcome()).toMatchObject({ ...REFUSED, retryAfterMs: 30_000 });
      expect(rig.kit.events.of('pacing-refused')).toMatchObject([{ why: 'queue-full' }]);
      expect(waiting.map((call) => call.outcome())).toEqual([undefined, undefined]);
    });

    it('everyone who would have to wait, where nobody may', async () => {
      const rig = new PacingRig({ maxQueue: 0 });
      await rig.hear(1, '30s');
      rig.start(after(rig.clock, 1_000, respond()));
      expect((await rig.call()).outcome()).toMatchObject(REFUSED);
    });
  });

  it('refuses who has waited as long as it may, and lets the others wait on', async () => {
    const rig = new PacingRig({ maxWait: '10s' });
    rig.start(after(rig.clock, 8_000, respond(429, { headers: ['retry-after', '9'] })));
    await rig.hear(0, '9s');
    const first = rig.start();
    await rig.until(8_000);
    const second = rig.start();
    await rig.until(10_000);
    expect(first.outcome()).toMatchObject(REFUSED);
    expect(second.outcome()).toBeUndefined();
    await rig.until(30_000);
    expect([first.wentAt(), second.wentAt() !== undefined]).toEqual([undefined, true]);
    expect(rig.kit.events.of('pacing-waited').map(({ end }) => end)).toEqual(['refused', 'sent']);
  });

  describe('when a client leaves', () => {
    it('gives its place up at once, with nothing left behind', async () => {
      const rig = new PacingRig({ maxQueue: 1 });
      await rig.hear(0, '30s');
      const leaving = rig.start();
      await rig.until(5_000);
      leaving.exchange.cancellation.cancel('client-aborted');
      await settle();
      expect(leaving.outcome()).toMatchObject({
        kind: 'failure',
        reason: 'client_aborted',
        requestSent: 'no',
        verdict: { class: 'abandoned' },
      });
      expect([rig.policy.snapshot()['queued'], rig.clock.pendingTimers]).toEqual([0, 0]);
      expect(leaving.exchange.cancellation.listenerCount).toBe(0);
      expect(rig.kit.events.of('pacing-waited')).toMatchObject([{ waitedMs: 5_000, end: 'left' }]);
      const next = rig.start();
      await rig.until(40_000);
      expect(next.wentAt()).toBeDefined();
    });

    it('lets the one behind it go where only its demand was too large', async () => {
      const rig = new PacingRig();
      const headers = ['x-ratelimit-limit-tokens', '1000', 'x-ratelimit-remaining-tokens', '100'];
      await rig.call(respond(200, { headers: [...headers, 'x-ratelimit-reset-tokens', '60s'] }));
      const large = rig.start(respond(), { bytes: 3_000 });
      const small = rig.start(respond(), { bytes: 300 });
      expect(small.wentAt()).toBeUndefined();
      large.exchange.cancellation.cancel('client-aborted');
      await settle();
      expect(small.wentAt()).toBe(0);
    });

    it('does not join where it has left before', async () => {
      const rig = new PacingRig();
      await rig.hear(0, '30s');
      const cancellation = new Cancellation();
      cancellation.cancel('client-aborted');
      const { outcome } = await rig.call(respond(), { cancellation });
      expect(outcome()).toMatchObject({ reason: 'client_aborted' });
      expect([rig.policy.snapshot()['queued'], rig.clock.pendingTimers]).toEqual([0, 0]);
    });
  });

  it('empties the line when the sidecar stops', async () => {
    const rig = new PacingRig();
    await rig.hear(0, '30s');
    const calls = Array.from({ length: 9 }, () => rig.start());
    rig.policy.dispose();
    for (const { exchange } of calls) exchange.cancellation.cancel('shutdown');
    await settle();
    for (const { outcome } of calls) expect(outcome()).toMatchObject({ reason: 'shutting_down' });
    expect([rig.policy.snapshot()['queued'], rig.clock.pendingTimers]).toEqual([0, 0]);
  });

  describe('after a 429', () => {
    it('holds new calls for as long as it asks', async () => {
      const rig = new PacingRig({ spread: '0s' });
      await rig.call(respond(429, { headers: ['retry-after-ms', '7500'] }));
      const call = rig.start();
      expect(rig.policy.snapshot()).toMatchObject({ queued: 1, pausedForMs: 7_500 });
      await rig.until(7_499);
      expect(call.wentAt()).toBeUndefined();
      await rig.until(7_500);
      expect(call.wentAt()).toBe(7_500);
      expect(rig.kit.events.of('pacing-began')).toMatchObject([{ obstacle: 'throttled' }]);
    });

    it('pauses only ever later', async () => {
      const rig = new PacingRig({ spread: '0s' });
      const slow = rig.start(after(rig.clock, 100, respond(429, { headers: ['retry-after', '1'] })));
      await rig.call(respond(429, { headers: ['retry-after', '9'] }));
      await rig.until(200);
      expect(slow.outcome()).toBeDefined();
      const call = rig.start();
      await rig.until(9_000);
      expect(call.wentAt()).toBe(9_000);
    });

    it('holds no call longer than maxPause, whatever it asks for', async () => {
      const rig = new PacingRig({ maxPause: '30s', spread: '0s' });
      await rig.call(respond(429, { headers: ['retry-after', String(300 * 24 * 3_600)] }));
      const call = rig.start();
      await rig.until(29_999);
      expect(call.wentAt()).toBeUndefined();
      await rig.until(30_000);
      expect(call.wentAt()).toBe(30_000);
    });

    it('is over once a call that asked after a minute succeeds, and those who wait go one by one', async () => {
      const rig = new PacingRig({ maxWait: '61s', spread: '1s' });
      await rig.call(respond(429, { headers: ['retry-after', '121'] }));
      await rig.until(60_000);
      const waiting = [rig.start(), rig.start(), rig.start()];
      expect(rig.policy.snapshot()['queued']).toBe(3);
      await rig.call(respond(), { deadlineInMs: 30_000 });
      await rig.until(61_500);
      const times = waiting.map(({ wentAt }) => wentAt());
      expect(new Set(times).size).toBe(3);
      for (const at of times) expect(at).toBeLessThanOrEqual(61_000);
      expect((await rig.call()).wentAt()).toBe(61_500);
    });

    it('that says nothing backs off by itself, longer each time, but not for those of one burst', async () => {
      const rig = new PacingRig({ spread: '0s' });
      const pauses: number[] = [];
      for (let i = 0; i < 7; i++) {
        const burst = Array.from({ length: 5 }, () => rig.start(after(rig.clock, 10, respond(429))));
        await rig.clock.advance(10);
        expect(burst.every(({ outcome }) => outcome() !== undefined)).toBe(true);
        pauses.push(Number(rig.policy.snapshot()['pausedForMs']));
        await rig.clock.advance(pauses.at(-1) ?? 0);
      }
      // Three quarters of 1 s, 2 s, 4 s, …: half of it is jitter, and this chance knows no extremes.
      expect(pauses).toEqual([750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500]);
    });

    it('needs no pause where the headers say when there is room', async () => {
      const rig = new PacingRig({ spread: '0s' });
      await rig.call(respond(429, { headers: requestsLeft(0, '300ms') }));
      const call = rig.start();
      await rig.until(300);
      expect(call.wentAt()).toBe(300);
    });

    it('also reads it where it stands inside an answer that looked like a success', async () => {
      const rig = new PacingRig({ spread: '0s' });
      const head = { status: 200, statusText: '', headers: requestsLeft(0, '4s') };
      await rig.call(fail('upstream_error', { head, verdict: { class: 'throttled', result: 'neutral' } }));
      expect(rig.policy.snapshot()['limits']).toEqual([{ dimension: 'requests', limit: 10, remaining: 0 }]);
    });
  });

  it.each([
    ['a 503', respond(503, { headers: requestsLeft(0, '9s') })],
    ['a 404', respond(404, { headers: requestsLeft(0, '9s') })],
  ])('reads the head of %s', async (_, answer) => {
    const rig = new PacingRig();
    await rig.call(answer);
    expect(rig.policy.snapshot()['limits']).toMatchObject([{ remaining: 0 }]);
  });

  it('learns nothing from what is not the provider’s', async () => {
    const rig = new PacingRig();
    await rig.call(respond(200, { from: 'fallback', headers: requestsLeft(0, '9s') }));
    await rig.call(refuse('circuit_open', { retryAfterMs: 9_000 }));
    await rig.call(fail('connection_refused'));
    expect(rig.policy.snapshot()['limits']).toEqual([]);
    expect((await rig.call()).outcome()).toMatchObject({ kind: 'response' });
  });

  it('keeps the limits of several credentials apart, where attempts say which they carried', async () => {
    const rig = new PacingRig({}, { keys: { first: 'a', second: 'b' } });
    const told = (key: string, remaining: number) => rig.answerTo(key, 200, requestsLeft(remaining, '20s'));
    await rig.call(told('first', 0));
    await rig.call(told('second', 0));
    const waiting = await rig.call();
    expect(waiting.wentAt()).toBeUndefined();
    waiting.exchange.cancellation.cancel('client-aborted');
    await rig.until(20_000);
    await rig.call(told('second', 5));
    await rig.until(22_000);
    await rig.call(told('first', 0));
    expect((await rig.call(told('second', 4))).wentAt()).toBe(22_000);
  });

  it.each([
    ['a refusal from below', refuse('circuit_open', { retryAfterMs: 9_000 })],
    ['want of a credential', refuse('no_credential', { verdict: { class: 'auth', result: 'neutral' } })],
    [
      'rest of all credentials',
      refuse('credentials_cooling', { verdict: { class: 'throttled', result: 'neutral' } }),
    ],
    ['a failure without an attempt', fail('connection_refused')],
  ])('holds calls by the limits of its credentials after %s', async (_, outcome) => {
    const rig = new PacingRig({}, { keys: { first: 'a' } });
    await rig.call(outcome);
    await rig.call(rig.answerTo('first', 200, requestsLeft(0, '20s')));
    expect((await rig.call()).wentAt()).toBeUndefined();
    expect(rig.policy.snapshot()['queued']).toBe(1);
  });

  it('takes two names of one credential for one account', async () => {
    const rig = new PacingRig({}, { keys: { first: 'a', again: 'a' } });
    await rig.call(rig.answerTo('first', 200, requestsLeft(0, '20s')));
    expect((await rig.call()).wentAt()).toBeUndefined();
  });

  it.each([401, 402, 403])(
    'counts no room of a credential that was answered %i, until it is accepted',
    async (status) => {
      const rig = new PacingRig({ maxWait: '5s', spread: '0s' }, { keys: { first: 'a', revoked: 'b' } });
      await rig.call(rig.answerTo('revoked', status));
      await rig.call(rig.answerTo('first', 200, requestsLeft(0, '20s')));
      expect((await rig.call()).outcome()).toMatchObject(REFUSED);
      await rig.until(20_000);
      await rig.call(rig.answerTo('revoked', 200));
      await rig.call(rig.answerTo('first', 200, requestsLeft(0, '20s')));
      expect((await rig.call()).wentAt()).toBe(20_000);
    },
  );

  it('lets every call go that is answered 401 with the only credential', async () => {
    const rig = new PacingRig({}, { keys: { first: 'a' } });
    await rig.call(rig.answerTo('first', 401));
    expect((await rig.call()).wentAt()).toBe(0);
  });

  it('asks again with one call after a minute without a word, however far the reset', async () => {
    const rig = new PacingRig({ maxWait: '30s' });
    await rig.hear(0, '24h');
    expect((await rig.call()).outcome()).toMatchObject(REFUSED);
    await rig.until(60_000);
    const scout = rig.start(after(rig.clock, 500, respond(200, { headers: requestsLeft(0, '24h') })));
    expect((await rig.call()).outcome()).toMatchObject(REFUSED);
    expect(scout.wentAt()).toBe(60_000);
    await rig.until(61_000);
    expect((await rig.call()).outcome()).toMatchObject(REFUSED);
  });

  it('estimates tokens by the length of the body, only where tokens are limited', async () => {
    const rig = new PacingRig();
    await rig.hear(5, '60s');
    rig.start(after(rig.clock, 100, respond()), { bytes: 400_000 });
    const headers = ['x-ratelimit-limit-tokens', '1000', 'x-ratelimit-remaining-tokens', '200'];
    await rig.call(respond(200, { headers: [...headers, 'x-ratelimit-reset-tokens', '60s'] }));
    await rig.until(200);
    const calls = [400, 400, 400].map((bytes) => rig.start(after(rig.clock, 50_000, respond()), { bytes }));
    expect(calls.map(({ wentAt }) => wentAt())).toEqual([200, 200, undefined]);
  });

  it('lets small calls pass beside a picture whose bytes would make more tokens than there are', async () => {
    const rig = new PacingRig();
    const headers = ['x-ratelimit-limit-tokens', '100000', 'x-ratelimit-remaining-tokens', '99000'];
    await rig.call(respond(200, { headers: [...headers, 'x-ratelimit-reset-tokens', '60s'] }));
    const picture = rig.start(after(rig.clock, 50_000, respond()), { bytes: 2_000_000 });
    const small = [rig.start(respond(), { bytes: 400 }), rig.start(respond(), { bytes: 400 })];
    expect([picture, ...small].map(({ wentAt }) => wentAt())).toEqual([0, 0, 0]);
    await rig.until(50_000);
  });

  describe('at a reload', () => {
    it('keeps what is known, and those who wait, in one line with those who come', async () => {
      const before = new PacingRig({ spread: '0s' });
      await before.hear(0, '20s');
      const early = before.start();
      const rig = new PacingRig({ spread: '0s', maxQueue: 2 }, { previous: before });
      const late = rig.start();
      expect([early.wentAt(), late.wentAt(), rig.policy.snapshot()['queued']]).toEqual([
        undefined,
        undefined,
        2,
      ]);
      expect((await rig.call()).outcome()).toMatchObject(REFUSED);
      before.policy.dispose();
      await rig.until(20_000);
      expect([early.wentAt(), late.wentAt()]).toEqual([20_000, 20_000]);
      expect(rig.clock.pendingTimers).toBe(0);
    });

    it('forgets what was said of a credential whose value has changed, and lets go who waits', async () => {
      const before = new PacingRig({}, { keys: { main: 'old' } });
      const slow = before.start(slowly(before, 5_000));
      await before.call(before.answerTo('main', 429, ['retry-after', '60']));
      const waiting = await before.call();
      const rig = new PacingRig({}, { previous: before, keys: { main: 'new' } });
      expect((await rig.call(rig.answerTo('main', 200))).wentAt()).toBe(0);
      expect(waiting.wentAt()).toBe(0);
      await rig.until(5_000);
      expect(slow.outcome()).toBeDefined();
      expect((await rig.call()).wentAt()).toBe(5_000);
    });

    it('keeps what was said of a credential that has another name now', async () => {
      const before = new PacingRig({}, { keys: { main: 'a' } });
      const slow = before.start(slowly(before, 1_000));
      const rig = new PacingRig({}, { previous: before, keys: { primary: 'a' } });
      await rig.call(rig.answerTo('primary', 200, requestsLeft(5, '60s')));
      await rig.until(1_000);
      expect(slow.outcome()).toBeDefined();
      expect(rig.policy.snapshot()).toMatchObject({
        pausedForMs: 60_000,
        limits: [{ dimension: 'requests', limit: 10, remaining: 5 }],
      });
    });

    it('goes by one account once the credentials are taken away', async () => {
      const before = new PacingRig({}, { keys: { main: 'a' } });
      const rig = new PacingRig({}, { previous: before });
      await rig.hear(5, '20s');
      await rig.hear(0, '20s');
      expect((await rig.call()).wentAt()).toBeUndefined();
    });

    it('follows the old rules until the first call: the new ones may yet be refused', async () => {
      const before = new PacingRig({ maxQueue: 1 });
      await before.hear(0, '20s');
      new PacingRig({ maxQueue: 9 }, { previous: before });
      before.start();
      expect((await before.call()).outcome()).toMatchObject(REFUSED);
    });
  });

  it.each([
    { priority: { default: 'urgent' } },
    { maxWait: '0s' },
    { maxPause: '0s' },
    { maxQueue: -1 },
    { priority: { ranks: { a: 0.5 } } },
  ])('does not accept %j', (options) => {
    expect(pacing.schema.safeParse(options).success).toBe(false);
  });
});
