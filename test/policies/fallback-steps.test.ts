import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { RequestBody } from '../../src/core/request.ts';
import { fallback } from '../../src/policies/fallback.ts';
import { NO_BODY, bodyOf, bytesBody, fail, respond, textOf } from '../support/policy-kit.ts';
import type { ExchangeParts } from '../support/policy-kit.ts';
import { LadderRig } from './ladder-rig.ts';

/** What the upstream `other` is asked for. */
async function askedOf(step: object, parts: ExchangeParts): Promise<Exchange | undefined> {
  const rig = new LadderRig([{ upstream: 'other', ...step }]);
  const other = rig.upstream('other');
  await rig.outcomeOf(fail(), parts);
  return other.calls[0]?.scope;
}

const textBody = (text: string): RequestBody => bytesBody(Buffer.from(text));
const sentBy = (exchange: Exchange | undefined): string =>
  Buffer.from(exchange?.body.open() as Uint8Array).toString('utf8');

describe('fallback: another upstream', () => {
  it('is asked for the same thing, as part of the same exchange', async () => {
    const body = textBody('{"a":1}');
    const request = { method: 'POST', target: '/v1/chat?x=%20', headers: ['accept', '*/*', 'x-a', '1'] };
    const asked = await askedOf({}, { id: 'id-1', request, body, callerTimeoutMs: 77 });
    expect(asked?.request).toMatchObject(request);
    expect(asked?.body).toBe(body);
    expect(asked).toMatchObject({ id: 'id-1', callerTimeoutMs: 77, upstream: { name: 'other' } });
    expect(asked?.deadlineAt).toBe(Number.POSITIVE_INFINITY);
    expect(asked?.nextAttempt).toEqual({ backoffMs: 0, freshConnection: false });
  });

  it('continues the trail of attempts', async () => {
    const rig = new LadderRig([{ upstream: 'other' }]);
    const other = rig.upstream('other');
    const { exchange } = rig.start({}, fail());
    await rig.clock.advance(0);
    expect(other.calls[0]?.scope.attempts).toBe(exchange.attempts);
  });

  it('never sees the client’s credentials for the first', async () => {
    const headers = [
      ...['Authorization', 'Bearer client'],
      ...['X-API-Key', 'k'],
      ...['api-key', 'k'],
      ...['x-goog-api-key', 'k'],
      ...['Cookie', 'session=1'],
      ...['accept', '*/*'],
    ];
    const asked = await askedOf({}, { request: { headers, target: '/v1/x?a=1&key=SECRET&alt=sse' } });
    expect(asked?.request.headers).toEqual(['accept', '*/*']);
    expect(asked?.request.target).toBe('/v1/x?a=1&alt=sse');
  });

  it('sees them where the operator says that both have one owner', async () => {
    const request = { headers: ['authorization', 'Bearer client'], target: '/v1/x?key=SECRET' };
    const asked = await askedOf({ forwardCredentials: true }, { request });
    expect(asked?.request).toMatchObject(request);
  });

  it('may get another path, other headers and another model', async () => {
    const rewrite = {
      path: [
        { from: '/v1', to: '/other' },
        { from: '/v1/chat', to: '/api/v2/chat' },
      ],
      setHeaders: { 'X-Provider': 'other' },
      removeHeaders: ['X-First-Only'],
      body: { model: 'small', stream_options: null },
    };
    const asked = await askedOf(
      { rewrite },
      {
        request: {
          method: 'POST',
          target: '/v1/chat/completions?b=%2F&a=1',
          headers: ['x-provider', 'first', 'x-first-only', '1', 'accept', '*/*'],
        },
        body: textBody('{"model":"large","stream_options":{},"n":1}'),
      },
    );
    expect(asked?.request.target).toBe('/api/v2/chat/completions?b=%2F&a=1');
    expect(asked?.request.headers).toEqual(['accept', '*/*', 'X-Provider', 'other']);
    expect(JSON.parse(sentBy(asked))).toEqual({ model: 'small', n: 1 });
    expect(asked?.body).toMatchObject({ replayable: true, length: sentBy(asked).length });
  });

  it.each([
    ['a body that is not JSON', textBody('model=large')],
    ['a body that is a list', textBody('[1]')],
    ['a body that cannot be kept', { ...NO_BODY, whole: () => Promise.resolve(undefined) }],
  ])('is passed over where its model cannot be set: %s', async (_, body) => {
    expect(await askedOf({ rewrite: { body: { model: 'small' } } }, { body })).toBeUndefined();
  });

  it('is asked without a body where there is none, whatever is to be set in it', async () => {
    const asked = await askedOf({ rewrite: { body: { model: 'small' } } }, { body: NO_BODY });
    expect(asked?.body).toBe(NO_BODY);
  });

  it.each([
    ['a body that cannot be sent again', { body: { ...NO_BODY, replayable: false } }],
    ['a switch of protocols', { request: { upgrade: 'websocket' } }],
    ['an exchange that has been there already', { upstream: { name: 'other' } }],
  ])('is passed over for %s', async (_, parts) => {
    expect(await askedOf({}, parts)).toBeUndefined();
  });

  it('is passed over where it does not exist, and the first’s own outcome is returned', async () => {
    const rig = new LadderRig([{ upstream: 'gone' }]);
    const first = respond(503);
    expect(await rig.outcomeOf(first)).toBe(first);
    expect(bodyOf(first).discards).toBe(0);
    expect(rig.taken).toEqual([]);
  });

  it('is asked once in an exchange, also when the ladder of another upstream has asked it', async () => {
    const outer = new LadderRig([{ upstream: 'b' }, { upstream: 'c' }]);
    const inner = new LadderRig([{ upstream: 'c' }]);
    const c = outer.upstream('c', fail());
    inner.others.set('c', c);
    outer.upstream('b', (exchange, cancellation) =>
      inner.policy.run(exchange, () => Promise.resolve(fail()), cancellation),
    );
    const outcome = await outer.outcomeOf(fail('connection_refused'));
    expect(outcome).toMatchObject({ reason: 'connection_refused' });
    expect(c.calls).toHaveLength(1);
    expect(c.calls[0]?.scope.visited).toEqual(['main', 'b', 'c']);
  });

  it('passes on the static answer of the other’s own ladder', async () => {
    const outer = new LadderRig({ on: { statuses: ['5xx'] }, steps: [{ upstream: 'b' }, { upstream: 'c' }] });
    const inner = new LadderRig([{ static: { status: 503, body: 'from b' } }]);
    const c = outer.upstream('c');
    outer.upstream('b', (exchange, cancellation) =>
      inner.policy.run(exchange, () => Promise.resolve(fail()), cancellation),
    );
    expect(textOf(await outer.outcomeOf(fail()))).toBe('from b');
    expect(c.calls).toHaveLength(0);
  });
});

describe('fallback: a static answer', () => {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-fallback-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  const answerOf = async (answer: object): Promise<Outcome & { kind: 'response' }> => {
    const outcome = await new LadderRig([{ static: answer }]).outcomeOf(fail());
    if (outcome.kind !== 'response') throw new Error('expected a response');
    return outcome;
  };

  it('can be text', async () => {
    const answer = await answerOf({ body: 'später' });
    expect(answer.head).toEqual({
      status: 200,
      statusText: '',
      headers: ['content-type', 'text/plain; charset=utf-8', 'content-length', '7'],
    });
    expect(textOf(answer)).toBe('später');
  });

  it('can be JSON, null included', async () => {
    const answer = await answerOf({ json: { choices: [] }, status: 503 });
    expect(answer.head).toMatchObject({
      status: 503,
      headers: ['content-type', 'application/json', 'content-length', '14'],
    });
    expect(textOf(answer)).toBe('{"choices":[]}');
    expect(textOf(await answerOf({ json: null }))).toBe('null');
  });

  it('can be a file, byte for byte', async () => {
    const file = join(folder, 'bytes');
    writeFileSync(file, Buffer.from([0, 255, 10]));
    const answer = await answerOf({ file, headers: { 'Content-Type': 'application/octet-stream' } });
    expect(answer.head.headers).toEqual([
      ...['Content-Type', 'application/octet-stream'],
      ...['content-length', '3'],
    ]);
    let got = Buffer.alloc(0);
    answer.body.pipe({
      write: (chunk) => ((got = Buffer.concat([got, chunk])), true),
      end: () => undefined,
      abort: () => undefined,
    });
    expect([...got]).toEqual([0, 255, 10]);
  });

  it('reads its file when it is built, and anew when it is built anew', () => {
    const file = join(folder, 'text');
    writeFileSync(file, 'old');
    const ladder = (): LadderRig => new LadderRig([{ static: { file } }]);
    const before = ladder();
    writeFileSync(file, 'new and longer');
    const next = ladder();
    return Promise.all([
      expect(before.outcomeOf(fail()).then(textOf)).resolves.toBe('old'),
      expect(next.outcomeOf(fail()).then(textOf)).resolves.toBe('new and longer'),
    ]);
  });

  it('cannot be built from a file that is not there', () => {
    const ladder = [{ static: { file: join(folder, 'missing') } }];
    expect(() => fallback.schema.parse(ladder)).toThrow(/there is no such file/);
  });

  it('can be empty', async () => {
    const answer = await answerOf({});
    expect(answer.head.headers).toEqual([
      ...['content-type', 'text/plain; charset=utf-8'],
      ...['content-length', '0'],
    ]);
    expect(textOf(answer)).toBe('');
    expect(await answer.body.completion).toEqual({ end: 'complete', bytes: 0 });
  });

  it('leaves its framing to us, whatever headers it is given', async () => {
    const headers = {
      'Content-Length': '999',
      'transfer-encoding': 'chunked',
      connection: 'close',
      'x-a': '1',
    };
    const answer = await answerOf({ body: 'abc', headers });
    expect(answer.head.headers).toEqual([
      ...['x-a', '1'],
      ...['content-type', 'text/plain; charset=utf-8'],
      ...['content-length', '3'],
    ]);
  });

  it('has no body where its status allows none', async () => {
    const answer = await answerOf({ status: 204, body: 'ignored', headers: { 'x-a': '1' } });
    expect(answer.head).toMatchObject({ status: 204, headers: ['x-a', '1'] });
    expect(textOf(answer)).toBe('');
  });

  it('can be given again and again', async () => {
    const rig = new LadderRig([{ static: { body: 'sorry' } }]);
    for (let i = 0; i < 3; i++) expect(textOf(await rig.outcomeOf(fail()))).toBe('sorry');
  });

  it('is refused with more than one body', () => {
    for (const two of [
      { body: 'a', json: 1 },
      { body: 'a', file: 'b' },
      { json: 1, file: 'b' },
    ])
      expect(fallback.schema.safeParse([{ static: two }]).success).toBe(false);
  });
});
