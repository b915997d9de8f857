/**
 * Attack: naming a field in Connection, so that the proxy takes away what it added itself or what the upstream relies
 * on: credentials, identity, framing (CVE-2026-33805; nginx and HAProxy forward such fields instead).
 */
import { expect, test } from 'vitest';
import { request } from '../support/raw-client.ts';
import { respondWith } from '../support/steps/answers.ts';
import { stage } from '../e2e/stage.ts';

const api = 'credentials: { header: x-api-key, value: own-secret }, forwarded: true, passDeadline: true';
const ADDED = [
  'x-api-key',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'forwarded',
  'traceparent',
  'host',
  'content-length',
  'x-request-timeout-ms',
];

test.each(['Connection', 'connection', 'CONNECTION'])(
  '%s cannot take away what the sidecar adds',
  async (name) => {
    await using on = await stage([respondWith(({ body }) => ({ body }))], { api });
    const headers = ADDED.map((added) => [name, added] as const);
    const response = await on.send({
      method: 'POST',
      body: 'hello',
      headers: [...headers, [name, ADDED.join(',')]],
    });
    expect(await response.text()).toBe('hello');
    const [got] = on.upstream.requests;
    for (const added of ADDED) expect(got?.headers(added), added).toHaveLength(1);
    expect(got?.header('x-api-key')).toBe('own-secret');
    expect(got?.header('connection')).toBe('keep-alive');
  },
);

test('an odd list in Connection breaks nothing', async () => {
  await using on = await stage([respondWith(() => ({ body: 'ok' }))]);
  for (const value of ['', ',', ',,x,,', ' ', 'close, close', '"x"', 'x;y', 'x'.repeat(5_000)]) {
    expect((await request(on.port, { path: '/api/x', headers: { connection: value } })).status, value).toBe(
      200,
    );
  }
});
