/**
 * What undici reports for each way an upstream can fail. The transport classifies by these codes and callbacks, so an
 * update of undici that changes one must fail here first.
 */
import type { Socket } from 'node:net';
import { Client, Pool, buildConnector } from 'undici';
import { describe, expect, test } from 'vitest';
import { blackhole, closedPort, tlsStall } from './dead-ports.ts';
import { scriptedUpstream } from './scripted-upstream.ts';
import { respond } from './steps/answers.ts';
import { closeOnAccept, resetOnAccept } from './steps/connections.ts';
import {
  closeBeforeResponse,
  closeMidHead,
  closeMidStatusLine,
  cutMidBody,
  resetBeforeResponse,
  resetMidBody,
} from './steps/cuts.ts';
import { holdResponse } from './steps/hold-response.ts';
import * as malformed from './steps/malformed.ts';
import { stall, stallAfterHead } from './steps/silence.ts';
import { testCa } from './tls/identities.ts';
import {
  answered,
  cutBody,
  dispatch,
  poolFor,
  sent,
  start,
  type Call,
  type Options,
} from './undici-trace.ts';
import type { Step } from './upstream/step.ts';

interface Row {
  readonly step: Step;
  readonly code: string | undefined;
  readonly calls: readonly Call[];
  readonly message?: string;
  readonly name?: string;
}

const closed = 'other side closed';
const parser = { code: undefined, name: 'HTTPParserError' };
const rows: Row[] = [
  { step: closeOnAccept(), code: 'UND_ERR_SOCKET', calls: sent, message: closed },
  { step: closeBeforeResponse(), code: 'UND_ERR_SOCKET', calls: sent, message: closed },
  { step: closeMidStatusLine(), code: 'UND_ERR_SOCKET', calls: answered, message: closed },
  { step: closeMidHead(), code: 'UND_ERR_SOCKET', calls: answered, message: closed },
  { step: resetBeforeResponse(), code: 'ECONNRESET', calls: sent, message: 'read ECONNRESET' },
  { step: cutMidBody(), code: 'UND_ERR_SOCKET', calls: cutBody },
  { step: cutMidBody({ framing: 'chunked' }), code: 'UND_ERR_SOCKET', calls: cutBody },
  { step: resetMidBody(), code: 'ECONNRESET', calls: cutBody },
  { step: resetMidBody({ framing: 'chunked' }), code: 'ECONNRESET', calls: cutBody },
  { step: malformed.garbage(), ...parser, calls: answered },
  { step: malformed.nulInHeader(), ...parser, calls: answered },
  { step: malformed.bareCrInHeader(), ...parser, calls: answered },
  { step: malformed.spaceBeforeColon(), ...parser, calls: answered },
  { step: malformed.badLength(), ...parser, calls: answered },
  { step: malformed.twoLengths(), code: 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH', calls: answered },
  { step: malformed.obsFold(), ...parser, calls: answered },
  { step: malformed.bareLfHead(), ...parser, calls: answered },
  { step: malformed.badChunk(), ...parser, calls: cutBody },
  { step: malformed.bothLengths(), code: 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH', calls: answered },
  { step: malformed.hugeHeaders(20_000), code: 'UND_ERR_HEADERS_OVERFLOW', calls: answered },
  { step: malformed.manyHeaders(3_000), code: 'UND_ERR_HEADERS_OVERFLOW', calls: answered },
  { step: malformed.statusBelow100(), code: 'ERR_ASSERTION', calls: [...answered, 'head 99'] },
  { step: malformed.unasked100(), code: 'UND_ERR_SOCKET', calls: answered, message: 'bad response' },
  { step: malformed.unasked101(), code: 'UND_ERR_SOCKET', calls: answered, message: 'bad upgrade' },
];

describe('failures after the connection is made', () => {
  test.each(rows)('$step.name is reported as $code $name', async ({ step, code, calls, message, name }) => {
    await using upstream = await scriptedUpstream([step]);
    const { error, ...trace } = await dispatch(poolFor(upstream.origin));
    expect(trace.calls).toEqual([...calls, 'error']);
    expect(error?.code).toBe(code);
    if (message !== undefined) expect(error?.message).toBe(message);
    if (name !== undefined) expect(error?.name).toBe(name);
  });

  test('a socket that the other side closed is described, one that it reset is not', async () => {
    await using upstream = await scriptedUpstream([closeBeforeResponse(), resetBeforeResponse()]);
    const pool = poolFor(upstream.origin);
    expect((await dispatch(pool)).error?.socket).toMatchObject({ bytesRead: 0 });
    expect((await dispatch(pool)).error?.socket).toBeUndefined();
  });

  test.each(['fin', 'reset'] as const)(
    'a body without framing that is cut by %s looks complete',
    async (by) => {
      await using upstream = await scriptedUpstream([cutMidBody({ framing: 'close', by })]);
      const trace = await dispatch(poolFor(upstream.origin));
      expect([trace.calls, trace.body]).toEqual([[...cutBody, 'end'], 'partial']);
    },
  );

  test.each([
    [malformed.unknownCoding('gzip, chunked')],
    [malformed.twoCodings()],
    [malformed.codingOnHttp10()],
    [malformed.wrongVersion()],
  ])('$name is not noticed: whoever cares must look at the head', async (step) => {
    await using upstream = await scriptedUpstream([step]);
    const trace = await dispatch(poolFor(upstream.origin));
    expect([trace.calls, trace.body]).toEqual([[...cutBody, 'end'], 'hello']);
  });

  test('an unknown transfer coding is passed on as a body without framing, chunk sizes included', async () => {
    await using upstream = await scriptedUpstream([malformed.unknownCoding()]);
    const recorder = start(poolFor(upstream.origin));
    await upstream.waitForRequest();
    await upstream.waitForIdle();
    await upstream.kill();
    const trace = await recorder.finished.promise;
    expect([trace.calls, trace.body]).toEqual([[...cutBody, 'end'], '5\r\nhello\r\n0\r\n\r\n']);
  });

  test('bytes after the announced body are not delivered, and the connection is not used again', async () => {
    await using upstream = await scriptedUpstream([malformed.tooLongBody(), respond({ body: 'clean' })]);
    const pool = poolFor(upstream.origin);
    const bodies = [(await dispatch(pool)).body, (await dispatch(pool)).body];
    expect([bodies, upstream.connections.opened]).toEqual([['hello', 'clean'], 2]);
  });

  test('the abort of the caller is reported with its own reason, and closes the connection', async () => {
    const gate = holdResponse(respond());
    await using upstream = await scriptedUpstream([gate]);
    const recorder = start(poolFor(upstream.origin));
    await gate.waitForHeld();
    const reason = new Error('enough');
    recorder.controller?.abort(reason);
    expect((await recorder.finished.promise).error).toBe(reason);
    await upstream.waitForAbort();
  });
});

describe('failures before the connection is made never start the request', () => {
  const never: Call[] = ['error'];

  test('refused', async () => {
    await using dead = await closedPort();
    const { calls, error } = await dispatch(poolFor(`http://127.0.0.1:${dead.port}`));
    expect([calls, error?.code]).toEqual([never, 'ECONNREFUSED']);
  });

  test('refused on every address of a name is an AggregateError with the code and no message', async () => {
    await using dead = await closedPort();
    const lookup = (_host: string, _options: object, done: (error: null, list: object[]) => void): void => {
      done(null, [
        { address: '127.0.0.1', family: 4 },
        { address: '127.0.0.2', family: 4 },
      ]);
    };
    const pool = poolFor(`http://two-addresses.invalid:${dead.port}`, {
      connect: { lookup, autoSelectFamily: true } as never,
    });
    const { calls, error } = await dispatch(pool);
    expect([calls, error?.code, error?.message]).toEqual([never, 'ECONNREFUSED', '']);
    expect(error).toBeInstanceOf(AggregateError);
  });

  test('a name that does not exist', async () => {
    const { calls, error } = await dispatch(poolFor('http://no-such-name.invalid'));
    expect(calls).toEqual(never);
    expect(error?.code).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/);
  });

  test('reset straight after accept', async () => {
    await using upstream = await scriptedUpstream([resetOnAccept()]);
    const { calls, error } = await dispatch(poolFor(upstream.origin));
    expect([calls, error?.code]).toEqual([never, 'ECONNRESET']);
  });

  test.each([
    ['self-signed', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['wrong-host', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['expired', 'CERT_HAS_EXPIRED'],
  ] as const)('a certificate that is %s', async (identity, code) => {
    await using upstream = await scriptedUpstream([respond()], { tls: { identity } });
    const { calls, error } = await dispatch(poolFor(upstream.origin, { connect: { ca: testCa } }));
    expect([calls, error?.code]).toEqual([never, code]);
  });

  test('a certificate from an unknown authority', async () => {
    await using upstream = await scriptedUpstream([respond()], { tls: {} });
    const { calls, error } = await dispatch(poolFor(upstream.origin));
    expect([calls, error?.code]).toEqual([never, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE']);
  });

  test('a server that does not speak TLS', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    const { calls, error } = await dispatch(poolFor(upstream.origin.replace('http', 'https')));
    expect([calls, error?.code]).toEqual([never, 'ERR_SSL_WRONG_VERSION_NUMBER']);
  });

  test('a pool that is being closed, and one that is destroyed', async () => {
    const pool = new Pool('http://127.0.0.1:1');
    const closing = pool.close();
    expect((await dispatch(pool)).error?.code).toBe('UND_ERR_CLOSED');
    await closing;
    await pool.destroy();
    expect((await dispatch(pool)).error?.code).toBe('UND_ERR_DESTROYED');
  });

  test.each([
    [{ path: '/a b' }, 'UND_ERR_INVALID_ARG'],
    [{ headers: ['transfer-encoding', 'chunked'] }, 'UND_ERR_INVALID_ARG'],
    [{ headers: ['content-length', '1', 'Content-Length', '1'] }, 'UND_ERR_INVALID_ARG'],
    [{ headers: ['expect', '100-continue'] }, 'UND_ERR_NOT_SUPPORTED'],
  ] satisfies [Options, string][])('options that are invalid: %o', async (options, code) => {
    const { calls, error } = await dispatch(poolFor('http://127.0.0.1:1'), options);
    expect([calls, error?.code]).toEqual([never, code]);
  });
});

describe.concurrent('timeouts of undici', () => {
  test.for([
    ['a handshake', tlsStall, 'https'],
    ['a connect', blackhole, 'http'],
  ] as const)(
    '%s that never ends is a connect timeout, and comes late',
    async ([, place, scheme], { onTestFinished: after }) => {
      await using dead = await place();
      const pool = new Pool(`${scheme}://127.0.0.1:${dead.port}`, { connect: { timeout: 100 } });
      after(() => pool.destroy());
      const startedAt = performance.now();
      const { calls, error } = await dispatch(pool);
      expect([calls, error?.code]).toEqual([['error'], 'UND_ERR_CONNECT_TIMEOUT']);
      expect(performance.now() - startedAt).toBeGreaterThan(400);
    },
  );

  test.for([
    [stall(), 'UND_ERR_HEADERS_TIMEOUT', sent],
    [stallAfterHead({}, ['x']), 'UND_ERR_BODY_TIMEOUT', cutBody],
  ] as const)('a silent upstream: $1', async ([step, code, calls], { onTestFinished: after }) => {
    await using upstream = await scriptedUpstream([step]);
    const pool = new Pool(upstream.origin, { headersTimeout: 100, bodyTimeout: 100 });
    after(() => pool.destroy());
    const trace = await dispatch(pool);
    expect([trace.calls, trace.error?.code]).toEqual([[...calls, 'error'], code]);
  });

  test('a connector with a timer of its own gives up by itself', async ({ onTestFinished: after }) => {
    await using dead = await blackhole();
    const connector = buildConnector({ timeout: 0 });
    const client = new Client(`http://127.0.0.1:${dead.port}`, {
      connect: (options, callback) => {
        const timer = setTimeout(() => callback(new Error('our own timeout'), null), 50);
        const settle: typeof callback = (...result) => {
          clearTimeout(timer);
          callback(...result);
        };
        (connector as (...args: unknown[]) => Socket)(options, settle)
          .once('error', () => undefined)
          .unref();
      },
    });
    after(() => client.destroy());
    expect((await dispatch(client)).error?.message).toBe('our own timeout');
  });
});
