/**
 * Bodies in chunks were collected without a limit, and event streams were held back until they had ended. Uploads are
 * bounded one by one and together, and an answer that has begun goes on piece by piece.
 */
import { expect, it } from 'vitest';
import { stage } from '../e2e/stage.ts';
import { rawClient } from '../support/raw-client.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { stallUpload } from '../support/steps/silence.ts';
import { turns } from '../support/turns.ts';

const KIB = 1024;
const CHUNK = Buffer.from(`4000\r\n${'x'.repeat(16 * KIB)}\r\n`);
const HEAD = 'POST /api/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n';

it('an upload in chunks that does not end is refused at the limit', async () => {
  await using on = await stage([respond()], { rest: 'server: { maxRequestBody: 256KiB }' });
  await using client = await rawClient(on.port);
  void client.send(HEAD);
  const response = client.response('POST');
  for (let n = 0; n < 17; n++) void client.send(CHUNK).catch(() => undefined);
  expect([(await response).status, (await response).header('x-outrigger-code')]).toEqual([
    413,
    'request_too_large',
  ]);
  await on.sidecar.waitForEvent('exchange-ended');
  expect(on.sidecar.sidecar.dataPlane.replayBytes).toBe(0);
  expect(on.upstream.requests.filter(({ complete }) => complete)).toEqual([]);
});

it('uploads that nobody takes share a memory that does not grow', async () => {
  const settings = { rest: 'server: { replayMemory: 512KiB }', api: 'replayLimit: 256KiB' };
  await using on = await stage([stallUpload()], settings);
  await using clients = new AsyncDisposableStack();
  let most = 0;
  for (let n = 1; n <= 6; n++) {
    const client = clients.use(await rawClient(on.port));
    void client.send(HEAD);
    for (let chunk = 0; chunk < 14; chunk++) void client.send(CHUNK).catch(() => undefined);
    await on.upstream.waitForRequestHead(n);
    await expect.poll(() => on.sidecar.sidecar.dataPlane.replayBytes).toBeGreaterThan(128 * KIB);
    await turns(20);
    most = Math.max(most, on.sidecar.sidecar.dataPlane.replayBytes);
  }
  expect(most).toBeGreaterThan(224 * KIB);
  expect(most).toBeLessThanOrEqual(512 * KIB);
});

it('an event is with the client before the next one is written', async () => {
  const stream = controlledStream();
  await using on = await stage([stream]);
  const answer = on.send({ method: 'POST', body: '{"stream":true}' });
  await stream.head();
  const response = await answer;
  for (const event of ['data: 1\n\n', 'data: 2\n\n', ': keep-alive\n\n']) {
    await stream.write(event);
    expect((await response.nextChunk())?.bytes.toString()).toBe(event);
  }
  expect(response.header('content-length')).toBeUndefined();
  await stream.end();
  expect(await response.ended()).toBe('complete');
});
