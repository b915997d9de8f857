import { describe, expect, it } from 'vitest';
import { headerValues } from '../../src/core/header-list.ts';
import { mcp } from '../../src/dialects/mcp.ts';
import { idempotency } from '../../src/policies/idempotency.ts';
import { settle } from '../support/fake-clock.ts';
import { NO_BODY, attemptAt, bytesBody, exchangeAt, fail, refuse, respond } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';
import { IdempotencyRig, answer, reading, response, stream, summary } from './idempotency-rig.ts';
import type { CallParts } from './idempotency-rig.ts';

policyContract({ module: idempotency, options: {}, scope: (clock) => exchangeAt(clock) });

describe('idempotency: keys', () => {
  it('runs a call once and gives its answer to all who send its key, marked', async () => {
    const rig = new IdempotencyRig({}, answer('first'), answer('second'));
    expect(await rig.text('k')).toBe('first');
    const again = await rig.settled('"k"');
    expect([summary(again), reading(again).text]).toEqual(['200 replayed', 'first']);
    expect(response(again).from).toBe('replay');
    expect(await rig.text('other')).toBe('second');
    expect([rig.runs, rig.results]).toEqual([2, ['run', 'replayed', 'run']]);
  });

  it('lets calls without a key pass, and those whose methods do not count', async () => {
    const rig = new IdempotencyRig({}, () => answer('new'));
    for (const request of [{ method: 'POST' }, { method: 'GET' }, { method: 'DELETE' }])
      for (let i = 0; i < 2; i++) await rig.text(request.method === 'POST' ? undefined : 'k', { request });
    expect([rig.runs, rig.results]).toEqual([6, []]);
  });

  it('keeps apart agents, credentials, methods and paths', async () => {
    let n = 0;
    const rig = new IdempotencyRig({}, () => answer(`answer ${(n += 1)}`));
    const variants = [
      {},
      { agentId: 'a' },
      { request: { headers: ['Authorization', 'Bearer 1'] } },
      { request: { headers: ['Authorization', 'Bearer 2'] } },
      { request: { headers: ['x-api-key', 'Bearer 2'] } },
      { request: { method: 'PATCH' } },
      { request: { target: '/v1/other' } },
    ];
    const firsts = [];
    for (const parts of variants) firsts.push(await rig.text('k', parts));
    expect(new Set(firsts).size).toBe(variants.length);
    for (const [index, parts] of variants.entries()) expect(await rig.text('k', parts)).toBe(firsts[index]);
    expect(rig.runs).toBe(variants.length);
  });

  it.each([
    ['another body', { text: 'other' }],
    ['another query', { request: { target: '/v1/things?a=1' } }],
  ])('refuses a key that comes with %s', async (_, parts) => {
    const slow = stream();
    const rig = new IdempotencyRig({}, slow.outcome);
    const first = await rig.settled('k');
    const during = await rig.settled('k', parts);
    expect(summary(during)).toBe('idempotency_key_reused');
    expect(during.outcome?.verdict.class).toBe('permanent');
    slow.source.finish();
    reading(first);
    expect(summary(await rig.settled('k', parts))).toBe('idempotency_key_reused');
    expect([rig.runs, rig.results]).toEqual([1, ['run', 'mismatch', 'mismatch']]);
  });

  it('refuses keys that it cannot read', async () => {
    const rig = new IdempotencyRig({ maxKeyLength: 3 });
    for (const key of ['', '""', 'long', 'a b'])
      expect(summary(await rig.settled(key))).toBe('idempotency_key_invalid');
    const two = await rig.settled('a', { request: { headers: ['Idempotency-Key', 'b'] } });
    expect(summary(two)).toBe('idempotency_key_invalid');
    expect([rig.runs, new Set(rig.results)]).toEqual([0, new Set(['invalid'])]);
    // SDKs would send it again: nothing would change.
    expect(two.exchange.ownsRetries).toBe(true);
  });

  it('refuses calls without a key where they must have one', async () => {
    const rig = new IdempotencyRig({ required: true, header: 'X-Request-Key' }, () => answer('ok'));
    const missing = await rig.settled('in another field');
    expect(missing.outcome).toMatchObject({
      kind: 'rejection',
      reason: 'idempotency_key_missing',
      detail: 'it belongs into the field X-Request-Key',
    });
    const request = { headers: ['x-request-key', 'k'] };
    expect(await rig.text(undefined, { request })).toBe('ok');
    expect(await rig.text(undefined, { request: { method: 'GET' } })).toBe('ok');
    expect(rig.runs).toBe(2);
  });

  it('makes a key of the body where it is told to', async () => {
    const rig = new IdempotencyRig({ derive: 'body' }, answer('first'), answer('second'), answer('third'));
    expect(await rig.text(undefined)).toBe('first');
    expect(await rig.text(undefined)).toBe('first');
    expect(await rig.text(undefined, { text: 'other' })).toBe('second');
    expect(await rig.text(undefined, { agentId: 'other' })).toBe('third');
    expect(rig.runs).toBe(3);
  });

  it('derives keys that upstreams do not take for those of another agent', async () => {
    const rig = new IdempotencyRig({ derive: 'body', forward: 'all' }, () => answer('ok'));
    for (const agentId of ['one', 'two']) await rig.settled(undefined, { agentId });
    const keys = rig.script.calls.map(({ scope }) =>
      headerValues(scope.request.headers, 'idempotency-key').join(),
    );
    expect(new Set(keys).size).toBe(2);
  });

  it('gives nobody what another session was answered', async () => {
    const rig = new IdempotencyRig({ derive: 'body' }, answer('first'), answer('second'), answer('third'));
    const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x' } });
    const inSession = (id: string): CallParts => ({
      text,
      upstream: { dialect: mcp },
      request: { headers: ['mcp-session-id', id] },
    });
    expect(await rig.text(undefined, inSession('a'))).toBe('first');
    expect(await rig.text(undefined, inSession('b'))).toBe('second');
    expect(await rig.text('k', inSession('a'))).toBe('third');
    expect(await rig.text(undefined, inSession('a'))).toBe('first');
    expect(rig.runs).toBe(3);
  });

  it('derives no key for what changes nothing, such as the beginning of a session', async () => {
    const rig = new IdempotencyRig({ derive: 'body' }, answer('first'), answer('second'));
    const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} });
    const parts: CallParts = { text, upstream: { dialect: mcp } };
    expect([await rig.text(undefined, parts), await rig.text(undefined, parts)]).toEqual(['first', 'second']);
  });

  it('tells the exchange what further tries may cost, for the ladder above', async () => {
    const rig = new IdempotencyRig({}, (exchange) => {
      exchange.spend = { allows: () => false };
      return fail();
    });
    const first = await rig.settled('k');
    expect(first.exchange.spend).toBeDefined();
  });

  it('makes no key of a body that is too large to be kept', async () => {
    const unread = { ...NO_BODY, peek: () => undefined, whole: () => Promise.resolve(undefined) };
    const rig = new IdempotencyRig({ derive: 'body' }, () => answer('ok'));
    for (let i = 0; i < 2; i++) expect(await rig.text(undefined, { body: unread })).toBe('ok');
    expect(rig.runs).toBe(2);
    const strict = new IdempotencyRig({ derive: 'body', required: true });
    expect(summary(await strict.settled(undefined, { body: unread }))).toBe('idempotency_key_missing');
    // With a key, its length tells it from others.
    const long = { ...unread, length: 7 };
    expect(await rig.text('k', { body: unread })).toBe('ok');
    expect(await rig.text('k', { body: unread })).toBe('ok');
    expect(summary(await rig.settled('k', { body: long }))).toBe('idempotency_key_reused');
    expect(rig.runs).toBe(3);
  });

  it('waits for a body that is still on its way', async () => {
    let arrive: (bytes: Uint8Array) => void = () => undefined;
    const whole = new Promise<Uint8Array>((resolve) => (arrive = resolve));
    const body = { ...bytesBody(Buffer.from('body')), peek: () => undefined, whole: () => whole };
    const rig = new IdempotencyRig({}, answer('ok'));
    const sent = await rig.settled('k', { body });
    expect(rig.runs).toBe(0);
    arrive(Buffer.from('body'));
    await settle();
    expect(reading(sent).text).toBe('ok');
    expect(summary(await rig.settled('k'))).toBe('200 replayed');
    const gone = rig.send('l', { body: { ...body, whole: () => Promise.resolve(undefined) } });
    gone.cancellation.cancel('client-aborted');
    await settle();
    expect([summary(gone), rig.runs]).toEqual(['client_aborted', 1]);
  });

  it('does not wait for an upload any longer than its deadline', async () => {
    const rig = new IdempotencyRig({});
    const slow = { ...NO_BODY, peek: () => undefined, whole: () => new Promise<undefined>(() => undefined) };
    const sent = await rig.settled('k', { body: slow });
    sent.cancellation.cancel('deadline');
    await settle();
    expect([summary(sent), rig.runs]).toEqual(['deadline_exceeded', 0]);
    expect(sent.cancellation.listenerCount).toBe(0);
  });

  it.each([
    ['sent', 'k', ['k']],
    ['sent', undefined, []],
    ['all', 'k', ['k']],
    ['none', 'k', []],
    ['none', undefined, []],
  ] as const)('gives the upstream what it is told to: %s, %s', async (forward, key, expected) => {
    const rig = new IdempotencyRig({ derive: 'body', forward }, answer('ok'));
    await rig.settled(key);
    const { headers } = rig.script.calls[0]!.scope.request;
    expect(headerValues(headers, 'idempotency-key')).toEqual(expected);
  });

  it('gives the upstream derived keys where it is told to, the same for the same', async () => {
    const rig = new IdempotencyRig({ derive: 'body', forward: 'all' }, () =>
      fail('connection_refused', { requestSent: 'no' }),
    );
    for (const text of ['a', 'a', 'b']) await rig.settled(undefined, { text });
    const keys = rig.script.calls.map(
      ({ scope }) => headerValues(scope.request.headers, 'idempotency-key')[0],
    );
    expect(keys[0]).toMatch(/^"[0-9a-f]{64}"$/);
    expect([keys[0] === keys[1], keys[0] === keys[2]]).toEqual([true, false]);
  });

  it('survives a bug below, and takes what it was doing for unknown', async () => {
    const rig = new IdempotencyRig({}, () => Promise.reject(new Error('a bug')));
    const both = [rig.send('k'), rig.send('k')];
    await settle();
    expect(both.map(summary)).toEqual(['internal_error', 'internal_error']);
    expect(rig.kit.events.of('internal-error')).toMatchObject([{ where: 'idempotency' }]);
    expect(summary(await rig.settled('k'))).toBe('outcome_unknown');
  });

  it('has nothing to do with switches of protocols', async () => {
    const rig = new IdempotencyRig({ required: true }, () => answer('ok'));
    await rig.settled(undefined, { request: { upgrade: 'websocket' } });
    expect([rig.runs, rig.results]).toEqual([1, []]);
  });
});

describe('idempotency: what is kept', () => {
  it.each([
    ['keeps a conflict that is the answer', [], '409 replayed'],
    [
      'does not take for the answer that an earlier try of the same key is under way',
      ['maybe'],
      'outcome_unknown',
    ],
  ] as const)('%s', async (_, before, expected) => {
    const rig: IdempotencyRig = new IdempotencyRig({}, (exchange) => {
      for (const sent of before) Object.assign(attemptAt(rig.kit.clock, exchange), { sent });
      const attempt = Object.assign(attemptAt(rig.kit.clock, exchange), { sent: 'maybe', status: 409 });
      return { ...answer('conflict', 409), attempt: attempt.number };
    });
    expect(await rig.text('k')).toBe('conflict');
    expect(summary(await rig.settled('k'))).toBe(expected);
  });

  const UNSENT = fail('connection_refused', { requestSent: 'no' });

  it.each([
    ['a failure that was not sent', () => UNSENT],
    ['a refusal', () => refuse('circuit_open')],
    ['a 429', () => respond(429)],
    ['a 503 that names a time', () => respond(503, { headers: ['retry-after', '1'] })],
    ['a 401', () => respond(401)],
  ])('forgets what had no effect: %s', async (_, step) => {
    const rig = new IdempotencyRig({}, step, () => answer('done'));
    const first = await rig.settled('k');
    expect(first.outcome?.kind).toBe(step().kind);
    expect(await rig.text('k')).toBe('done');
    expect([rig.runs, rig.ends]).toEqual([2, ['released', 'answer']]);
  });

  it.each([200, 201, 302, 400, 404, 409, 422, 500, 502, 503])(
    'keeps what was answered, whatever it is: %s',
    async (status) => {
      const rig = new IdempotencyRig({}, answer('answered', status), answer('again'));
      expect(await rig.text('k')).toBe('answered');
      const again = await rig.settled('k');
      expect([summary(again), reading(again).text]).toEqual([`${status} replayed`, 'answered']);
      expect(again.outcome?.verdict).toEqual(respond(status).verdict);
    },
  );

  it.each([
    ['a failure that may have been read', () => fail('connection_reset'), 'it ended with connection_reset'],
    ['a timeout', () => fail('first_byte_timeout'), 'it ended with first_byte_timeout'],
  ])('knows that it does not know: %s', async (_, step, detail) => {
    const rig = new IdempotencyRig({}, step);
    const first = await rig.settled('k');
    expect(first.outcome?.kind).toBe('failure');
    const again = await rig.settled('k');
    expect(again.outcome).toMatchObject({
      kind: 'failure',
      reason: 'outcome_unknown',
      requestSent: 'maybe',
      verdict: { class: 'permanent', result: 'neutral' },
      detail,
    });
    expect(again.exchange.ownsRetries).toBe(true);
    expect([rig.runs, rig.results, rig.ends]).toEqual([1, ['run', 'unknown'], ['unknown']]);
  });

  it('knows that it does not know: an answer that broke off', async () => {
    const { source, outcome } = stream();
    const rig = new IdempotencyRig({}, outcome);
    const first = await rig.settled('k');
    const sink = reading(first);
    source.push('half');
    source.breakOff();
    expect([sink.text, sink.aborted?.end]).toEqual(['half', 'upstream-aborted']);
    expect(summary(await rig.settled('k'))).toBe('outcome_unknown');
  });

  it('knows that it does not know although the end of the answer looks whole', async () => {
    const { source, outcome } = stream();
    const rig = new IdempotencyRig({}, outcome);
    reading(await rig.settled('k'));
    source.finish([], { end: 'upstream-aborted', reason: 'response_incomplete', bytes: 0 });
    expect(summary(await rig.settled('k'))).toBe('outcome_unknown');
  });

  it('runs again what is unknown where it is told to', async () => {
    const rig = new IdempotencyRig({ unknown: 'run-again' }, fail('connection_reset'), answer('done'));
    await rig.settled('k');
    expect(await rig.text('k')).toBe('done');
    expect(summary(await rig.settled('k'))).toBe('200 replayed');
    expect(rig.runs).toBe(2);
  });

  it.each([
    ['the operator says so', { idempotent: true } as const],
    [
      'the protocol says so',
      {
        dialect: {
          ...exchangeAt({ now: () => 0 }).upstream.dialect,
          readCall: () => ({ repeat: 'safe' }) as never,
        },
      },
    ],
  ])('keeps good answers alone where a repetition does no harm: %s', async (_, upstream) => {
    const rig = new IdempotencyRig({}, fail('connection_reset'), answer('broken', 500), () => answer('good'));
    for (let i = 0; i < 4; i++) {
      const sent = await rig.settled('k', { upstream });
      if (sent.outcome?.kind === 'response') reading(sent);
    }
    expect([rig.runs, rig.ends, rig.results.at(-1)]).toEqual([
      3,
      ['released', 'released', 'answer'],
      'replayed',
    ]);
  });

  it('says so where an answer was too large to be kept', async () => {
    const rig = new IdempotencyRig({ maxEntryBytes: '1KiB' }, answer('x'.repeat(2_000), 201));
    expect(await rig.text('k')).toHaveLength(2_000);
    const again = await rig.settled('k');
    expect(again.outcome).toMatchObject({
      reason: 'idempotency_not_kept',
      detail: 'it was answered with status 201',
    });
    expect([rig.runs, rig.ends, rig.results]).toEqual([1, ['unkept'], ['run', 'not-kept']]);
  });

  it('forgets a key in its time, counted from its first request', async () => {
    const rig = new IdempotencyRig({ ttl: '1h' }, answer('one'), answer('two'));
    expect(await rig.text('k')).toBe('one');
    await rig.kit.clock.advance(3_599_999);
    expect(await rig.text('k')).toBe('one');
    await rig.kit.clock.advance(1);
    expect(await rig.text('k')).toBe('two');
  });

  it('is bounded: answers go before keys, the oldest first, and nothing that runs', async () => {
    const rig = new IdempotencyRig({ maxEntries: 3, maxBytes: '3KiB' }, () => answer('x'.repeat(600)));
    for (const key of ['a', 'b', 'c']) await rig.text(key);
    expect(summary(await rig.settled('c'))).toBe('200 replayed');
    expect(summary(await rig.settled('a'))).toBe('idempotency_not_kept');
    await rig.text('d');
    expect(rig.policy.snapshot()).toMatchObject({ keys: 3, evictedKeys: 1, runs: 0 });
    await rig.text('a');
    expect(rig.runs).toBe(5);
    const { bytes } = rig.policy.snapshot();
    expect(bytes).toBeLessThanOrEqual(3 * 1_024);
  });

  it('refuses a key where all that it may remember is under way', async () => {
    const rig = new IdempotencyRig({ maxEntries: 2 }, () => stream().outcome);
    for (const key of ['a', 'b']) await rig.settled(key);
    const third = await rig.settled('c');
    expect(third.outcome).toMatchObject({ reason: 'idempotency_unavailable', retryAfterMs: 1_000 });
    expect([rig.runs, rig.results]).toEqual([2, ['run', 'run', 'full']]);
  });
});
