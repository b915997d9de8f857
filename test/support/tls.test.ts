import { expect, test } from 'vitest';
import { rawClient } from './raw-client.ts';
import { scriptedUpstream } from './scripted-upstream.ts';
import { respond } from './steps/answers.ts';
import { resetOnAccept } from './steps/connections.ts';
import { resetMidBody } from './steps/cuts.ts';
import { stall } from './steps/silence.ts';
import { clientIdentity, testCa, type ServerIdentity } from './tls/identities.ts';

const trusting = { ca: testCa, host: '127.0.0.1' };

test('serves HTTP over TLS under a certificate of the test authority', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'ok' })], { tls: {} });
  expect(upstream.origin).toMatch(/^https:/);
  await using client = await rawClient(upstream.port, { tls: trusting });
  expect(await (await client.request()).text()).toBe('ok');
  expect(await (await client.request()).text()).toBe('ok');
  expect(upstream.requests.map(({ connection }) => connection)).toEqual([1, 1]);
});

test.each([
  ['expired', 'CERT_HAS_EXPIRED'],
  ['wrong-host', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['self-signed', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
] satisfies [ServerIdentity, string][])(
  'a client that verifies refuses the %s certificate',
  async (identity, code) => {
    await using upstream = await scriptedUpstream([respond()], { tls: { identity } });
    await expect(rawClient(upstream.port, { tls: trusting })).rejects.toMatchObject({ code });
    await upstream.waitForOpenConnections(0);
    expect(upstream.requests).toEqual([]);
  },
);

test('demands a client certificate when told to', async () => {
  await using upstream = await scriptedUpstream([respond()], { tls: { requireClientCertificate: true } });
  await using known = await rawClient(upstream.port, { tls: { ...trusting, ...clientIdentity() } });
  expect((await known.request()).status).toBe(200);
  const unknown = rawClient(upstream.port, { tls: trusting }).then((client) => client.request());
  await expect(unknown).rejects.toThrow();
  expect(upstream.requests).toHaveLength(1);
});

test('resets below TLS: on accept, in a body, and when killed', async () => {
  await using upstream = await scriptedUpstream([resetOnAccept(), resetMidBody(), stall()], { tls: {} });
  await expect(rawClient(upstream.port, { tls: trusting })).rejects.toMatchObject({ code: 'ECONNRESET' });
  await using second = await rawClient(upstream.port, { tls: trusting });
  const response = await second.request();
  expect([await response.ended(), response.received.toString()]).toEqual(['reset', 'partial']);
  await using third = await rawClient(upstream.port, { tls: trusting });
  const answer = third.request();
  await upstream.waitForRequest(2);
  await upstream.kill();
  await expect(answer).rejects.toThrow('was reset');
});

test('notices that a TLS client leaves', async () => {
  await using upstream = await scriptedUpstream([stall()], { tls: {} });
  await using client = await rawClient(upstream.port, { tls: trusting });
  void client.request();
  await upstream.waitForRequest();
  client.destroy();
  await upstream.waitForAbort();
  await upstream.waitForOpenConnections(0);
});
