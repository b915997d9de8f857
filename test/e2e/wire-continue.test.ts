/** `Expect: 100-continue`: the client is told to go on when its body is wanted, and not before. */
import { expect, test } from 'vitest';
import { closedPort } from '../support/dead-ports.ts';
import { rawClient, type RawClient } from '../support/raw-client.ts';
import { respond, respondWith } from '../support/steps/answers.ts';
import { closeBeforeResponse } from '../support/steps/cuts.ts';
import { stage } from './stage.ts';

const head = (path: string, length: number, version = '1.1'): string =>
  `POST ${path} HTTP/${version}\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: ${length}\r\n\r\n`;

/** Waits for the go-ahead, which is all that may come before the body. */
async function expectContinue(client: RawClient): Promise<void> {
  expect((await client.nextBytes())?.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
}

const echo = respondWith(({ body }) => ({ body }));

test('the body is asked for once, and reaches the upstream whole', async () => {
  await using on = await stage([echo]);
  await using client = await rawClient(on.port);
  void client.send(head('/api/x', 5));
  await expectContinue(client);
  void client.send('hello');
  expect(await (await client.response('POST')).text()).toBe('hello');
  expect(on.upstream.requests[0]?.header('expect')).toBeUndefined();
  void client.send(head('/api/y', 5));
  await expectContinue(client);
  void client.send('again');
  expect(await (await client.response('POST')).text()).toBe('again');
});

test('a body that is asked for once is replayed without asking again', async () => {
  const api = 'idempotent: true, policies: { retry: { backoff: { initial: 1ms, max: 1ms } } }';
  await using on = await stage([closeBeforeResponse(), echo], { api });
  await using client = await rawClient(on.port);
  void client.send(head('/api/x', 5));
  await expectContinue(client);
  void client.send('hello');
  const response = await client.response('POST');
  expect(await response.text()).toBe('hello');
  expect(response.interim).toEqual([]);
  expect(response.header('x-outrigger-attempts')).toBe('2');
});

const refusals: readonly [title: string, settings: string, status: number, code: string][] = [
  [
    'an open breaker',
    'policies: { retry: false, circuitBreaker: { consecutiveFailures: 1 } }',
    503,
    'circuit_open',
  ],
];

test.each(refusals)('%s answers without asking for the body, and closes', async (_, api, status, code) => {
  await using on = await stage([respond({ status: 500 })], { api });
  await (await on.send()).ended();
  await using client = await rawClient(on.port);
  void client.send(head('/api/x', 5));
  const response = await client.response('POST');
  expect(response.interim).toEqual([]);
  expect(response.status).toBe(status);
  expect(response.header('x-outrigger-code')).toBe(code);
  expect(response.header('connection')).toBe('close');
  await client.waitForEnd();
  expect(on.upstream.requests).toHaveLength(1);
});

test('an upstream that cannot be reached is reported without asking for the body', async () => {
  await using closed = await closedPort();
  const others = [
    `down: { route: /down, endpoints: [{ url: "http://127.0.0.1:${closed.port}" }], policies: { retry: false } }`,
  ];
  await using on = await stage([respond()], { others });
  await using client = await rawClient(on.port);
  void client.send(head('/down/x', 5));
  const response = await client.response('POST');
  expect(response.interim).toEqual([]);
  expect(response.status).toBe(502);
  expect(response.header('connection')).toBe('close');
});

test('a body that is too large is refused without asking for it', async () => {
  await using on = await stage([respond()], { rest: 'server: { maxRequestBody: 1KiB }' });
  await using client = await rawClient(on.port);
  void client.send(head('/api/x', 5_000));
  const response = await client.response('POST');
  expect(response.interim).toEqual([]);
  expect(response.status).toBe(413);
  expect(response.header('x-outrigger-code')).toBe('request_too_large');
});

test('a static answer of the ladder does not ask for the body either', async () => {
  const api =
    'policies: { retry: false, circuitBreaker: { consecutiveFailures: 1 }, fallback: [{ static: { body: instead } }] }';
  await using on = await stage([respond({ status: 500 })], { api });
  await (await on.send()).ended();
  await using client = await rawClient(on.port);
  void client.send(head('/api/x', 5));
  const response = await client.response('POST');
  expect(await response.text()).toBe('instead');
  expect(response.interim).toEqual([]);
  expect(response.header('connection')).toBe('close');
});

test('an HTTP/1.0 client is not told anything: it sends its body at once', async () => {
  await using on = await stage([echo]);
  await using client = await rawClient(on.port);
  void client.send(`${head('/api/x', 5, '1.0')}hello`);
  const bytes = (await client.readToEnd()).toString();
  expect(bytes).toMatch(/^HTTP\/1\.1 200/);
  expect(bytes.endsWith('hello')).toBe(true);
});

test.each(['tea', '200-ok', ''])(
  'another expectation (%j) is a 417 that says so, and the connection goes on',
  async (expected) => {
    await using on = await stage([echo]);
    await using client = await rawClient(on.port);
    void client.send(
      `POST /api/x HTTP/1.1\r\nhost: a\r\nexpect: ${expected}\r\ncontent-length: 5\r\n\r\nhello`,
    );
    const response = await client.response('POST');
    expect(response.status).toBe(417);
    expect(response.header('x-outrigger-code')).toBe('expectation_failed');
    expect(await response.json()).toMatchObject({ status: 417, code: 'expectation_failed' });
    const labels = { reason: 'expectation_failed' };
    expect(await on.sidecar.metric('outrigger_requests_refused_total', labels)).toBe(1);
    expect(on.upstream.requests).toEqual([]);
    void client.send('POST /api/y HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nagain');
    expect(await (await client.response('POST')).text()).toBe('again');
  },
);

test('an expectation is nothing to an HTTP/1.0 client’s request: it does not know the field', async () => {
  await using on = await stage([echo]);
  await using client = await rawClient(on.port);
  void client.send('POST /api/x HTTP/1.0\r\nexpect: tea\r\ncontent-length: 5\r\n\r\nhello');
  expect((await client.readToEnd()).toString()).toMatch(/^HTTP\/1\.1 200/);
});

test('a client that is told to go on and does not is answered 408', async () => {
  await using on = await stage([echo], { rest: 'server: { bodyTimeout: 100ms }' });
  await using client = await rawClient(on.port);
  void client.send(head('/api/x', 5));
  await expectContinue(client);
  const response = await client.response('POST');
  expect(response.status).toBe(408);
  expect(response.header('x-outrigger-code')).toBe('request_timeout');
  await on.upstream.waitForIdle();
  expect(on.upstream.requests.filter(({ complete }) => complete)).toEqual([]);
});
