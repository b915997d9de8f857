/**
 * A proxy's own 429 and 503 did not say when to come back, so SDKs came back at once. Every answer that the sidecar makes
 * itself has a code to branch on, and every refusal that passes names a time, the same in all places.
 */
import { expect, it } from 'vitest';
import { isReason, REASONS, type Reason } from '../../src/core/reasons.ts';
import { generic } from '../../src/dialects/generic.ts';
import { localAnswer } from '../../src/server/local-answer.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import { closedPort } from '../support/dead-ports.ts';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { stall } from '../support/steps/silence.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

interface Problem {
  readonly status: number;
  readonly code: string;
  readonly retryAfterMs?: number;
}

/** Code and Retry-After of an answer; fails where its parts say different things. */
async function toldBy(response: RawResponse): Promise<{ readonly code: string; readonly waitMs?: number }> {
  const problem = (await response.json()) as Problem;
  const code = response.header('x-outrigger-code') ?? '';
  expect(isReason(code)).toBe(true);
  expect([problem.code, problem.status]).toEqual([code, response.status]);
  expect(REASONS[code as Reason].status).toBe(response.status);
  expect(response.header('proxy-status')).toContain(`; error=${REASONS[code as Reason].proxyError}`);
  const [seconds, ms] = [response.header('retry-after'), response.header('retry-after-ms')];
  expect(problem.retryAfterMs).toBe(ms === undefined ? undefined : Number(ms));
  if (ms === undefined) {
    expect(seconds).toBeUndefined();
    return { code };
  }
  expect(seconds).toBe(String(Math.ceil(Number(ms) / 1_000)));
  return { code, waitMs: Number(ms) };
}

it('an open circuit names the time at which it lets the next request through', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 }), respond({ body: 'ok' })]);
  const policies = 'policies: { retry: false, circuitBreaker: { consecutiveFailures: 1, openFor: 20s } }';
  await using own = await ownSidecar(apiAt(upstream.origin, policies));
  await own.send();
  await own.clock.advance(4_000);
  const { code, waitMs = 0 } = await toldBy(await own.send());
  expect(code).toBe('circuit_open');
  expect(waitMs).toBeGreaterThan(1_000);
  await own.clock.advance(waitMs - 1_000);
  expect((await own.send()).status).toBe(503);
  await own.clock.advance(1_000);
  expect(await (await own.send()).text()).toBe('ok');
});

it('nobody is told to wait for more than a minute', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 })]);
  const policies = 'policies: { retry: false, circuitBreaker: { consecutiveFailures: 1, openFor: 5m } }';
  await using own = await ownSidecar(apiAt(upstream.origin, policies));
  await own.send();
  expect(await toldBy(await own.send())).toEqual({ code: 'circuit_open', waitMs: 60_000 });
});

it('a request that a stop breaks off before its answer is told to come back', async () => {
  await using upstream = await scriptedUpstream([stall()]);
  await using own = await ownSidecar(apiAt(upstream.origin));
  const answer = own.send();
  await upstream.waitForRequest();
  const stopped = own.sidecar.stop();
  await own.until('drain-started');
  await own.clock.advance(60_000);
  const { code, waitMs } = await toldBy(await answer);
  expect([code, waitMs]).toEqual(['shutting_down', 1_000]);
  await stopped;
});

it.each<[Reason, string]>([
  ['no_route', 'GET /elsewhere HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['bad_request', 'POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n'],
  ['headers_too_large', `GET /api/x HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(200_000)}\r\n\r\n`],
  ['request_too_large', 'POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 3000\r\n\r\n'],
  ['loop_detected', 'GET /api/x HTTP/1.1\r\nhost: a\r\nvia: 1.1 me\r\n\r\n'],
  ['method_not_supported', 'CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['connection_refused', 'GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n'],
])('%s has a code, and names no time, for waiting would not help', async (reason, bytes) => {
  await using dead = await closedPort();
  const server = 'server: { name: me, maxRequestBody: 2KiB }\n';
  const api = apiAt(`http://127.0.0.1:${dead.port}`, 'policies: { retry: false }');
  await using own = await ownSidecar(`${server}${api}`);
  await using client = await rawClient(own.port);
  void client.send(bytes).catch(() => undefined);
  expect(await toldBy(await client.response())).toEqual({ code: reason });
});

it('of all reasons there are, each that answers 429 or 503 names a time', () => {
  const refusals = Object.entries(REASONS).filter(([, { status }]) => status === 429 || status === 503);
  expect(refusals.length).toBeGreaterThanOrEqual(4);
  for (const [reason] of refusals) {
    const { head } = localAnswer({
      reason: reason as Reason,
      dialect: generic,
      pseudonym: 'me',
      requestId: 'r-1',
    });
    const named = head.headers[head.headers.indexOf('retry-after') + 1];
    expect([reason, Number(named) >= 1 && Number(named) <= 60]).toEqual([reason, true]);
  }
});
