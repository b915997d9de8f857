/** What undici passes through, keeps and reuses: the facts behind streaming, uploads and connection reuse. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Readable } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { closedPort } from './dead-ports.ts';
import { scriptedUpstream } from './scripted-upstream.ts';
import { earlyAnswer, informational, respond } from './steps/answers.ts';
import { staleKeepAlive } from './steps/connections.ts';
import { controlledStream } from './steps/controlled-stream.ts';
import { refuseUpgrade, upgrade } from './steps/upgrades.ts';
import { turns } from './turns.ts';
import { Recorder, dispatch, poolFor, sent, start, type Options } from './undici-trace.ts';

describe('what undici passes through', () => {
  test('each interim answer calls onResponseStart', async () => {
    const interim = [{ status: 103, headers: { link: '</a>' } }, { status: 102 }];
    await using upstream = await scriptedUpstream([informational(interim, respond({ body: 'ok' }))]);
    const { calls } = await dispatch(poolFor(upstream.origin));
    expect(calls.filter((call) => call.startsWith('head'))).toEqual(['head 103', 'head 102', 'head 200']);
  });

  test('an early answer is delivered without an error, and the connection is dropped', async () => {
    await using upstream = await scriptedUpstream([earlyAnswer({ status: 413, body: 'too big' }), respond()]);
    const pool = poolFor(upstream.origin);
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield Buffer.alloc(16_384);
    }
    const body = Readable.from(endless());
    const { calls } = await dispatch(pool, { method: 'POST', body });
    expect(calls).toEqual(['start', 'first-byte', 'head 413', 'data', 'end']);
    await upstream.waitForRequest();
    expect(upstream.requests[0]?.upload).toBe('cut');
    expect(body.destroyed).toBe(true);
  });

  test('a refused upgrade reaches the handler as an ordinary answer', async () => {
    await using upstream = await scriptedUpstream([refuseUpgrade(), upgrade()]);
    const pool = poolFor(upstream.origin);
    const refused = await dispatch(pool, { upgrade: 'websocket' });
    expect([refused.calls.at(-1), refused.body]).toEqual(['end', 'no upgrade here']);
    expect((await dispatch(pool, { upgrade: 'websocket' })).calls.at(-1)).toBe('upgrade');
  });

  test('HEAD closes the connection unless `reset: false` is given', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    const pool = poolFor(upstream.origin);
    for (let i = 0; i < 3; i++) await dispatch(pool, { method: 'HEAD', reset: false });
    expect(upstream.connections.opened).toBe(1);
    for (let i = 0; i < 3; i++) await dispatch(pool, { method: 'HEAD' });
    expect(upstream.connections.opened).toBe(3);
  });

  test('the target and the headers arrive byte for byte', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    const headers = ['X-Dup', '1', 'x-DUP', '2', 'Host', 'kept.invalid'];
    await dispatch(poolFor(upstream.origin), { path: "/a//../%zz?'{}\\", headers });
    expect(upstream.requests[0]).toMatchObject({ target: "/a//../%zz?'{}\\" });
    expect(upstream.requests[0]?.headers('host')).toEqual(['kept.invalid']);
    expect(upstream.requests[0]?.rawHeaders).toEqual(
      expect.arrayContaining([
        ['X-Dup', '1'],
        ['x-DUP', '2'],
      ]),
    );
  });

  test('a paused response stops the sender', async () => {
    const stream = controlledStream();
    await using upstream = await scriptedUpstream([stream]);
    const recorder = start(poolFor(upstream.origin));
    recorder.onResponseStart = (controller) => controller.pause();
    await stream.head();
    const block = Buffer.alloc(1024 * 1024);
    for (let i = 0; i < 32; i++) void stream.write(block);
    const seen = await stream.waitForRequest();
    const all = 32 * block.length;
    await turns(200);
    expect(seen.answeredBytes).toBeLessThan(all / 2);
    recorder.controller?.resume();
    await stream.end();
    expect((await recorder.finished.promise).body.length).toBe(all);
  });
});

describe('request bodies', () => {
  test('a body that fails is reported with its own error, and cuts the upload', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    const failure = new Error('client went away');
    const body = new Readable({ read: () => undefined });
    body.push('part');
    const recorder = start(poolFor(upstream.origin), { method: 'POST', body });
    const seen = await upstream.waitForRequestHead();
    body.destroy(failure);
    const { calls, error } = await recorder.finished.promise;
    expect([calls, error]).toEqual([['start', 'error'], failure]);
    await upstream.waitForAbort();
    expect(seen.upload).toBe('cut');
  });

  test.each([
    ['shorter', '10', ['start', 'sent', 'error']],
    ['longer', '2', ['start', 'error']],
  ])('a body that is %s than its announced length', async (_what, length, callbacks) => {
    await using upstream = await scriptedUpstream([respond()]);
    const options: Options = {
      method: 'POST',
      body: Readable.from(['12345']),
      headers: ['content-length', length],
    };
    const { calls, error } = await dispatch(poolFor(upstream.origin), options);
    expect([calls, error?.code]).toEqual([callbacks, 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH']);
  });

  test('a body is untouched by a failed connect, and can be sent again', async () => {
    await using dead = await closedPort();
    await using upstream = await scriptedUpstream([respond()]);
    const options: Options = { method: 'POST', body: Readable.from(['unread']) };
    expect((await dispatch(poolFor(`http://127.0.0.1:${dead.port}`), options)).error?.code).toBe(
      'ECONNREFUSED',
    );
    expect((await dispatch(poolFor(upstream.origin), options)).calls.at(-1)).toBe('end');
    expect(upstream.requests[0]?.text()).toBe('unread');
  });
});

describe('connections', () => {
  test('throwing in onRequestStart fails that request only, and the connection lives on', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    const pool = poolFor(upstream.origin);
    await dispatch(pool);
    const cancelled = new Recorder();
    cancelled.onRequestStart = () => {
      throw new Error('cancelled while queued');
    };
    pool.dispatch({ path: '/', method: 'GET' }, cancelled);
    expect((await cancelled.finished.promise).error?.message).toBe('cancelled while queued');
    expect((await dispatch(pool)).calls.at(-1)).toBe('end');
    expect([upstream.connections.opened, upstream.requests.length]).toEqual([1, 2]);
  });

  test('a keep-alive hint of one second means no reuse', async () => {
    await using upstream = await scriptedUpstream([respond({ headers: { 'keep-alive': 'timeout=1' } })]);
    const pool = poolFor(upstream.origin);
    await dispatch(pool);
    await dispatch(pool);
    expect(upstream.connections.opened).toBe(2);
  });

  test.each([
    ['fin', 'UND_ERR_SOCKET'],
    ['reset', 'ECONNRESET'],
  ] as const)(
    'a reused connection that ends by %s is reported as %s after the start, before any byte',
    async (by, code) => {
      await using upstream = await scriptedUpstream([staleKeepAlive({ by })]);
      const pool = poolFor(upstream.origin);
      const sockets: object[] = [];
      const note = (message: unknown): void => void sockets.push((message as { socket: object }).socket);
      subscribe('undici:client:sendHeaders', note);
      onTestFinished(() => void unsubscribe('undici:client:sendHeaders', note));
      expect((await dispatch(pool)).calls.at(-1)).toBe('end');
      const { calls, error } = await dispatch(pool);
      expect([calls, error?.code]).toEqual([[...sent, 'error'], code]);
      expect(sockets).toHaveLength(2);
      expect(sockets[0]).toBe(sockets[1]);
    },
  );
});
