/** Header fields on their way through: what survives byte for byte, what must not, and what the sidecar adds. */
import { describe, expect, test } from 'vitest';
import { request } from '../support/raw-client.ts';
import { closeBeforeResponse } from '../support/steps/cuts.ts';
import { respond, respondRaw } from '../support/steps/answers.ts';
import type { RecordedRequest } from '../support/upstream/recorded-request.ts';
import type { HeaderPairs } from '../support/wire/headers.ts';
import { stage } from './stage.ts';

/** Sends one request and returns what the upstream got. */
async function forwarded(headers: HeaderPairs, api?: string): Promise<RecordedRequest> {
  await using on = await stage([respond()], api === undefined ? {} : { api });
  const response = await on.send({ headers });
  await response.ended();
  expect(response.status).toBe(200);
  return on.upstream.waitForRequest();
}

/** Sends a request and returns the fields of the answer, without those that Node and the sidecar add. */
async function answered(head: string, body = ''): Promise<HeaderPairs> {
  await using on = await stage([respondRaw(Buffer.from(`${head}\r\n${body}`, 'latin1'))]);
  const response = await on.send();
  await response.ended();
  return response.rawHeaders.filter(([name]) => !/^(date|connection|keep-alive|x-outrigger-.*)$/i.test(name));
}

const between = (request: RecordedRequest): HeaderPairs =>
  request.rawHeaders.filter(([name]) => !['host', 'connection', 'via', 'traceparent'].includes(name));

test('order, case, duplicates and empty values reach the upstream as they came', async () => {
  const headers = [
    ['X-One', '1'],
    ['x-two', 'a'],
    ['X-Two', 'b'],
    ['accept', 'text/plain'],
    ['Accept', 'application/json'],
    ['X-Empty', ''],
    ['COOKIE', 'a=1'],
    ['Cookie', 'b=2'],
  ] as const;
  expect(between(await forwarded(headers))).toEqual(headers);
});

test('order, case, duplicates and several Set-Cookie reach the client as they came', async () => {
  const head =
    'HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nX-Dup: 1\r\nset-cookie: b=2\r\nx-dup: 2\r\nContent-Length: 0\r\nX-Empty:\r\n';
  expect(await answered(head)).toEqual([
    ['Set-Cookie', 'a=1; Path=/'],
    ['X-Dup', '1'],
    ['set-cookie', 'b=2'],
    ['x-dup', '2'],
    ['Content-Length', '0'],
    ['X-Empty', ''],
  ]);
});

test('bytes above 0x7f pass unchanged, both ways', async () => {
  const odd = Buffer.from('caf\u00e9 \u00ff', 'latin1').toString('latin1');
  const utf8 = Buffer.from('日本').toString('latin1');
  const got = await forwarded([
    ['x-odd', odd],
    ['x-utf8', utf8],
  ]);
  expect(got.header('x-odd')).toBe(odd);
  expect(got.header('x-utf8')).toBe(utf8);
  const framings = [
    ['content-length: 0', ''],
    ['content-length: 2', 'ok'],
    ['transfer-encoding: chunked', '2\r\nok\r\n0\r\n\r\n'],
  ] as const;
  for (const [framing, body] of framings) {
    const head = `HTTP/1.1 200 OK\r\nx-odd: ${odd}\r\nx-utf8: ${utf8}\r\n${framing}\r\n`;
    const headers = await answered(head, body);
    expect(headers.filter(([name]) => name.startsWith('x-'))).toEqual([
      ['x-odd', odd],
      ['x-utf8', utf8],
    ]);
  }
});

describe('hop by hop', () => {
  test('a client’s connection fields and those it names stay here', async () => {
    const got = await forwarded([
      ['Connection', 'keep-alive, X-Mine , x-other'],
      ['X-Mine', '1'],
      ['x-other', '2'],
      ['Keep-Alive', 'timeout=5'],
      ['Proxy-Connection', 'keep-alive'],
      ['Proxy-Authorization', 'Basic c2VjcmV0'],
      ['TE', 'trailers'],
      ['Upgrade', 'foo/2'],
      ['X-Kept', '3'],
    ]);
    expect(between(got)).toEqual([['X-Kept', '3']]);
    expect(got.headers('connection')).toEqual(['keep-alive']);
  });

  test('an upstream’s connection fields and those it names stay here', async () => {
    const head =
      'HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Kept: 3\r\nContent-Length: 0\r\n';
    expect(await answered(head)).toEqual([
      ['X-Kept', '3'],
      ['Content-Length', '0'],
    ]);
  });

  test('naming a field that decides framing, routing or identity does not take it away', async () => {
    await using on = await stage([respond()]);
    const names = 'authorization, content-length, content-type, cookie, host, via, traceparent';
    const headers = { connection: names, authorization: 'Bearer k', 'content-type': 'a/b', cookie: 'c=1' };
    await (await on.send({ method: 'POST', body: 'hello', headers })).ended();
    const got = await on.upstream.waitForRequest();
    expect(got.text()).toBe('hello');
    expect(got.header('authorization')).toBe('Bearer k');
    expect(got.header('content-type')).toBe('a/b');
    expect(got.header('cookie')).toBe('c=1');
    expect(got.headers('host')).toHaveLength(1);
    expect(got.headers('via')).toHaveLength(1);
    expect(got.headers('traceparent')).toHaveLength(1);
  });
});

describe('Host', () => {
  test('is the endpoint’s own, whatever the client sent', async () => {
    await using on = await stage([respond()]);
    await on.send({ headers: { host: 'agent.example:99' } });
    const got = await on.upstream.waitForRequest();
    expect(got.headers('host')).toEqual([`127.0.0.1:${on.upstream.port}`]);
  });

  test('is the client’s with preserveHost', async () => {
    const got = await forwarded([['host', 'agent.example:99']], 'preserveHost: true');
    expect(got.headers('host')).toEqual(['agent.example:99']);
  });
});

test('Via grows by this hop, after those before it', async () => {
  const got = await forwarded([
    ['Via', '1.0 first'],
    ['via', '1.1 second (comment)'],
  ]);
  const [first, second, ours, ...rest] = got.headers('via');
  expect([first, second]).toEqual(['1.0 first', '1.1 second (comment)']);
  expect(ours).toMatch(/^1\.1 outrigger-[0-9a-f]+$/);
  expect(rest).toEqual([]);
});

describe('trace context', () => {
  const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const startedHere = /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/;

  test('goes on as it came, with its state and baggage', async () => {
    const headers = [
      ['traceparent', parent],
      ['tracestate', 'vendor=1'],
      ['baggage', 'user=7'],
    ] as const;
    const got = await forwarded(headers);
    expect(got.rawHeaders.filter(([name]) => /^(trace|baggage)/.test(name))).toEqual(headers);
  });

  test('starts here where there is none', async () => {
    const got = await forwarded([]);
    expect(got.headers('traceparent')).toEqual([expect.stringMatching(startedHere)]);
  });

  test.each([
    ['malformed', '00-xyz-b7ad6b7169203331-01'],
    ['of zeros', '00-00000000000000000000000000000000-b7ad6b7169203331-01'],
    ['in upper case', parent.toUpperCase()],
    ['of the forbidden version', `ff${parent.slice(2)}`],
  ])('starts anew where the client’s is %s, and its state is dropped', async (_, traceparent) => {
    const got = await forwarded([
      ['traceparent', traceparent],
      ['tracestate', 'vendor=1'],
    ]);
    expect(got.headers('traceparent')).toEqual([expect.stringMatching(startedHere)]);
    expect(got.headers('tracestate')).toEqual([]);
  });

  test('starts anew where the client sent two: the upstream gets one', async () => {
    const got = await forwarded([
      ['traceparent', parent],
      ['Traceparent', parent],
      ['tracestate', 'vendor=1'],
    ]);
    expect(got.headers('traceparent')).toEqual([expect.stringMatching(startedHere)]);
    expect(got.headers('tracestate')).toEqual([]);
  });

  test('a state without a parent is dropped', async () => {
    expect((await forwarded([['tracestate', 'vendor=1']])).headers('tracestate')).toEqual([]);
  });
});

describe('forwarded fields', () => {
  const claims = [
    ['X-Forwarded-For', '6.6.6.6'],
    ['Forwarded', 'for=6.6.6.6'],
  ] as const;

  test('are off by default: the client’s own pass as they are', async () => {
    const got = await forwarded(claims);
    expect(between(got)).toEqual(claims);
  });

  test('replace what the client claims of itself where they are on', async () => {
    const got = await forwarded([...claims, ['host', 'agent.example']], 'forwarded: true');
    expect(got.headers('x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(got.headers('x-forwarded-host')).toEqual(['agent.example']);
    expect(got.headers('x-forwarded-proto')).toEqual(['http']);
    expect(got.headers('forwarded')).toEqual(['for=127.0.0.1;host="agent.example";proto=http']);
  });
});

describe('what every answer says', () => {
  test('the client’s request id comes back, with the number of attempts', async () => {
    await using on = await stage([respond()]);
    const response = await on.send({ headers: { 'x-request-id': 'call-7' } });
    expect(response.headers('x-outrigger-request-id')).toEqual(['call-7']);
    expect(response.headers('x-outrigger-attempts')).toEqual(['1']);
    expect(on.upstream.requests[0]?.header('x-request-id')).toBe('call-7');
  });

  test.each(['with space', '', 'x'.repeat(129), 'caf\u00e9'])(
    'a request id that cannot be one (%j) is replaced',
    async (id) => {
      await using on = await stage([respond()]);
      const response = await on.send({ headers: { 'x-request-id': id } });
      expect(response.header('x-outrigger-request-id')).toMatch(/^[0-9a-f]{32}$/);
    },
  );

  test('the trail of attempts comes when asked for, and the question stays here', async () => {
    const api = 'policies: { retry: { backoff: { initial: 1ms, max: 1ms } } }';
    await using on = await stage([closeBeforeResponse(), respond({ status: 503 }), respond()], { api });
    const response = await on.send({ headers: { 'x-outrigger-debug': '1' } });
    const { origin } = on.upstream;
    const trail = response.header('x-outrigger-trail') ?? '';
    expect(trail.replaceAll(/ \d+ms/g, ' _').replaceAll(' after _', '')).toBe(
      `1 ${origin} connection_reset _; 2 ${origin} 503 _; 3 ${origin} 200 _`,
    );
    expect(on.upstream.requests[0]?.header('x-outrigger-debug')).toBeUndefined();
    expect((await on.send()).header('x-outrigger-trail')).toBeUndefined();
  });

  test('an answer through two sidecars carries the word of the nearer one only', async () => {
    await using far = await stage([respond({ status: 404, body: 'no such thing' })]);
    const origin = `http://127.0.0.1:${far.port}`;
    await using near = await stage([respond()], {
      others: [`far: { route: /far, endpoints: [{ url: "${origin}" }] }`],
    });
    for (const path of ['/far/api/x', '/far/no-route']) {
      const response = await request(near.port, { path, headers: { 'x-request-id': 'near' } });
      expect(response.headers('x-outrigger-attempts')).toHaveLength(1);
      expect(response.headers('x-outrigger-request-id')).toEqual(['near']);
    }
  });
});
