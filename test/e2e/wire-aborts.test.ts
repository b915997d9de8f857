/** A client that leaves, in every phase: the upstream hears of it at once, and nothing more is started for it. */
import { expect, test } from 'vitest';
import { blackhole } from '../support/dead-ports.ts';
import { rawClient, type RawClient } from '../support/raw-client.ts';
import { flood, respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { stall, stallUpload } from '../support/steps/silence.ts';
import { turns } from '../support/turns.ts';
import { stage, type Stage } from './stage.ts';

const leaving: readonly [how: string, leave: (client: RawClient) => void][] = [
  ['closes', (client) => client.destroy()],
  ['resets', (client) => client.reset()],
  ['half-closes', (client) => client.halfClose()],
];

/** What must be so once a client has left. */
async function expectAllGone(on: Stage, attempts: number): Promise<void> {
  const [ending] = await on.sidecar.waitForEvent('exchange-ended');
  expect(ending).toMatchObject({ result: 'aborted', reason: 'client_aborted' });
  expect(ending?.exchange.attempts).toHaveLength(attempts);
  expect(on.sidecar.sidecar.dataPlane.activeCount).toBe(0);
  expect(on.sidecar.sidecar.dataPlane.replayBytes).toBe(0);
  expect(await on.sidecar.metric('outrigger_client_aborts_total', { upstream: 'api' })).toBe(1);
  expect(await on.sidecar.metric('outrigger_requests_in_flight')).toBe(0);
  await turns(5);
  expect(ending?.exchange.attempts).toHaveLength(attempts);
}

test.each(leaving)('one that %s while it waits for the head', async (_, leave) => {
  await using on = await stage([stall()]);
  await using client = await rawClient(on.port);
  client.request({ path: '/api/x' }).catch(() => undefined);
  await on.upstream.waitForRequest();
  leave(client);
  await on.upstream.waitForAbort();
  await expectAllGone(on, 1);
});

test.each(leaving)('one that %s in the middle of a stream', async (_, leave) => {
  const stream = controlledStream();
  await using on = await stage([stream]);
  await using client = await rawClient(on.port);
  const answer = client.request({ path: '/api/x' });
  await stream.head();
  await stream.write('data: 1\n\n');
  await (await answer).nextChunk();
  leave(client);
  await on.upstream.waitForAbort();
  await expectAllGone(on, 1);
});

test('one that leaves while it does not read', async () => {
  await using on = await stage([flood(64_000_000)]);
  await using client = await rawClient(on.port);
  client.pause();
  client.request({ path: '/api/x' }).catch(() => undefined);
  await on.upstream.waitForRequest();
  await on.upstream.waitUntil(() => on.upstream.requests.length === 1, 'the request');
  await turns(50);
  client.reset();
  await on.upstream.waitForAbort();
  await expectAllGone(on, 1);
});

test('one that leaves while the sidecar waits to try again', async () => {
  const api = 'policies: { retry: { backoff: { initial: 10s, max: 10s, jitter: none } } }';
  await using on = await stage([respond({ status: 503 })], { api });
  await using client = await rawClient(on.port);
  client.request({ path: '/api/x' }).catch(() => undefined);
  await on.sidecar.waitForEvent('retry-scheduled');
  client.destroy();
  await expectAllGone(on, 1);
  expect(on.upstream.requests).toHaveLength(1);
});

test('one that leaves while the sidecar connects', async () => {
  await using hole = await blackhole();
  await using on = await stage([respond()], {
    others: [
      `hole: { route: /hole, endpoints: [{ url: "http://127.0.0.1:${hole.port}" }], policies: { attemptTimeout: { connect: 600ms } } }`,
    ],
  });
  await using client = await rawClient(on.port);
  client.request({ path: '/hole/x' }).catch(() => undefined);
  await on.sidecar.waitForEvent('exchange-started');
  await turns(10);
  client.destroy();
  const [ending] = await on.sidecar.waitForEvent('exchange-ended');
  expect(ending?.exchange.attempts).toMatchObject([{ reason: 'client_aborted' }]);
  expect(on.sidecar.eventsNamed('retry-scheduled')).toEqual([]);
});

test.each([
  ['with a length', 'content-length: 1000000', 'x'.repeat(100_000)],
  ['in chunks', 'transfer-encoding: chunked', `186a0\r\n${'x'.repeat(100_000)}\r\n`],
])(
  'one that leaves in the middle of an upload %s: the upstream sees a cut request, never a short one',
  async (...row) => {
    const [, framing, part] = row;
    await using on = await stage([respond()]);
    await using client = await rawClient(on.port);
    void client.send(`POST /api/x HTTP/1.1\r\nhost: a\r\n${framing}\r\n\r\n${part}`);
    await on.upstream.waitForRequestHead();
    client.destroy();
    const request = await on.upstream.waitForRequest();
    expect(request.upload).toBe('cut');
    await expectAllGone(on, 1);
  },
);

test('one that leaves before its small upload is whole: nothing reaches the upstream', async () => {
  await using on = await stage([respond()]);
  await using client = await rawClient(on.port);
  void client.send('POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\npart');
  await on.sidecar.waitForEvent('exchange-started');
  client.destroy();
  await expectAllGone(on, 0);
  expect(on.upstream.connections.opened).toBe(0);
});

test('one that leaves while nobody takes its upload is noticed when the write timeout ends the attempt', async () => {
  const api = 'policies: { attemptTimeout: { idle: 150ms } }';
  await using on = await stage([stallUpload()], { api });
  await using client = await rawClient(on.port);
  client.request({ method: 'POST', path: '/api/x', body: Buffer.alloc(8_000_000) }).catch(() => undefined);
  await on.upstream.waitForRequestHead();
  await turns(50);
  client.reset();
  // A connection that is not read tells nothing of its end.
  const [ending] = await on.sidecar.waitForEvent('exchange-ended');
  expect(ending?.exchange.attempts).toMatchObject([{ reason: 'write_timeout' }]);
  on.upstream.resume();
  expect((await on.upstream.waitForRequest()).upload).toBe('cut');
  expect(on.sidecar.sidecar.dataPlane.activeCount).toBe(0);
  expect(on.sidecar.sidecar.dataPlane.replayBytes).toBe(0);
});

test('one that left before its turn gets no attempt, and a fallback none either', async () => {
  const api =
    'policies: { retry: { maxRetries: 3, backoff: { initial: 1ms, max: 1ms } }, fallback: [{ upstream: spare }] }';
  const gate = controlledStream('head');
  await using on = await stage([gate], {
    api,
    others: ['spare: { route: /spare, endpoints: [{ url: "http://127.0.0.1:1" }] }'],
  });
  await using client = await rawClient(on.port);
  client.request({ path: '/api/x' }).catch(() => undefined);
  await on.upstream.waitForRequest();
  client.destroy();
  await expectAllGone(on, 1);
  expect(on.sidecar.eventsNamed('fallback-taken')).toEqual([]);
  expect(on.sidecar.eventsNamed('retry-scheduled')).toEqual([]);
});
