/**
 * Requests that could only fail again were repeated, an open circuit answered 200, and an upgrade brought a timeout that
 * nobody had configured. Classes are explicit, refusals are errors, and `explain` hides no value.
 */
import { describe, expect, it } from 'vitest';
import { configFile, inProcess } from '../cli/fixture.ts';
import { stage } from '../e2e/stage.ts';
import { rawClient } from '../support/raw-client.ts';
import { respond } from '../support/steps/answers.ts';

describe('an answer that blames the request', () => {
  it.each([400, 401, 403, 404, 405, 409, 413, 422])('%i is passed on after one attempt', async (status) => {
    await using on = await stage([respond({ status, body: 'no' }), respond()]);
    const response = await on.send();
    expect([response.status, await response.text()]).toEqual([status, 'no']);
    expect(on.upstream.requests).toHaveLength(1);
  });
});

it('an open circuit answers 503, whatever the upstream said before', async () => {
  const api = 'policies: { retry: false, circuitBreaker: { consecutiveFailures: 1, openFor: 1m } }';
  await using on = await stage([respond({ status: 500 }), respond({ body: 'ok' })], { api });
  await on.send();
  for (const method of ['GET', 'POST', 'HEAD']) {
    await using client = await rawClient(on.port);
    const refused = await client.request({ method, path: '/api/x' });
    expect([refused.status, refused.header('x-outrigger-code')]).toEqual([503, 'circuit_open']);
  }
  expect(on.upstream.requests).toHaveLength(1);
});

it('explain shows every bound that is in force, and where it came from', async () => {
  const file = configFile(
    'upstreams:\n  api: { route: /api, endpoints: [{ url: "http://127.0.0.1:1" }], policies: { deadline: { after: 40s } } }\n',
  );
  const { code, stdout } = await inProcess([
    'explain',
    'api',
    '-c',
    file,
    '--set',
    'upstreams.api.replayLimit=1MiB',
  ]);
  expect(code).toBe(0);
  const rows = stdout.split('\n').map((line) => line.split(/ {2,}/));
  for (const row of [
    ['policies.deadline.after', '40s', expect.stringMatching(/outrigger\.yaml:2:\d+$/)],
    ['policies.attemptTimeout.connect', '5s', 'default'],
    ['policies.attemptTimeout.firstByte', '1m', 'default'],
    ['policies.attemptTimeout.idle', '2m', 'default'],
    ['policies.retry.maxElapsed', '1m', 'default'],
    ['replayLimit', '1MiB', '--set upstreams.api.replayLimit'],
  ])
    expect(rows).toContainEqual(row);
});
