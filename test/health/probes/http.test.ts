import { afterEach, describe, expect, it } from 'vitest';
import { httpProbe } from '../../../src/health/probes/http.ts';
import type { HttpExpectation, HttpQuestion } from '../../../src/health/probes/http.ts';
import { runProbe } from '../../../src/health/probes/probe.ts';
import type { ProbeResult } from '../../../src/health/probes/probe.ts';
import { HttpClient } from '../../../src/transport/http-client.ts';
import type { TlsOptions } from '../../../src/transport/endpoint-transport.ts';
import { CountingClock } from '../../support/counting-clock.ts';
import { closedPort } from '../../support/dead-ports.ts';
import { scriptedUpstream } from '../../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../../support/scripted-upstream.ts';
import { flood, redirect, respond } from '../../support/steps/answers.ts';
import { silenceOnAccept } from '../../support/steps/connections.ts';
import { closeBeforeResponse, closeMidHead, cutMidBody } from '../../support/steps/cuts.ts';
import { garbage } from '../../support/steps/malformed.ts';
import { drippedHead, stall, stallAfterHead } from '../../support/steps/silence.ts';
import { clientIdentity, testCa } from '../../support/tls/identities.ts';
import type { Step } from '../../support/upstream/step.ts';

const clock = new CountingClock();
afterEach(() => expect(clock.armed.size).toBe(0));

interface Look extends Partial<HttpQuestion> {
  readonly expected?: HttpExpectation;
  readonly timeoutMs?: number;
  readonly tls?: TlsOptions;
}

async function look(origin: string, options: Look = {}): Promise<ProbeResult> {
  const { expected = {}, timeoutMs = 3_000, tls = {}, ...question } = options;
  const client = new HttpClient({ clock, tls });
  try {
    const probe = httpProbe({ url: `${origin}/healthz`, ...question }, expected, { clock, client });
    return await runProbe(probe, { clock, timeoutMs });
  } finally {
    client.dispose();
  }
}

async function answered(step: Step, options: Look = {}): Promise<ProbeResult & { server: ScriptedUpstream }> {
  await using server = await scriptedUpstream([step]);
  const result = await look(server.origin, options);
  await server.waitForOpenConnections(0);
  return { ...result, server };
}

describe('an http probe', () => {
  it('asks as it is told, over a connection of its own that it closes', async () => {
    const { server, ...result } = await answered(respond({ body: 'fine' }), {
      method: 'HEAD',
      headers: { host: 'search.internal', 'x-probe': '1' },
    });
    expect(result).toMatchObject({ ok: true, detail: 'status 200' });
    const [request] = server.requests;
    expect([request?.method, request?.target, request?.header('host'), request?.header('x-probe')]).toEqual([
      'HEAD',
      '/healthz',
      'search.internal',
      '1',
    ]);
    expect(request?.header('user-agent')).toBe('outrigger-health-check');
    expect(request?.asksToClose).toBe(true);
  });

  it('fails on a status that is not expected', async () => {
    expect(await answered(respond({ status: 503 }))).toMatchObject({
      ok: false,
      detail: 'status 503, expected 2xx',
    });
  });

  it('passes on the statuses that it is told', async () => {
    const expected = { status: [401, '300-399'] };
    expect((await answered(respond({ status: 401 }), { expected })).ok).toBe(true);
    expect((await answered(respond({ status: 200 }), { expected })).ok).toBe(false);
  });

  it('does not follow a redirect: where it leads says nothing of this server', async () => {
    const { ok, detail, server } = await answered(redirect('/elsewhere'));
    expect([ok, detail, server.requests.length]).toEqual([false, 'status 302, expected 2xx', 1]);
  });

  it('does not read the body when nothing is expected of it', async () => {
    expect((await answered(stallAfterHead())).ok).toBe(true);
    expect((await answered(flood(50 * 2 ** 20))).ok).toBe(true);
  });
});

describe('what the body must hold', () => {
  const body = (match: object, withinBytes = 1_024): Look => ({
    expected: { body: { withinBytes, ...match } },
  });

  it('is found, as a text or by a regular expression', async () => {
    const answer = respond({ body: ['{"status": ', '"Ready"}'] });
    expect((await answered(answer, body({ contains: '"Ready"' }))).ok).toBe(true);
    expect((await answered(answer, body({ matches: '"status":\\s*"ready"' }))).ok).toBe(true);
  });

  it('is missed, and what was there instead is not told', async () => {
    expect(await answered(respond({ body: 'a secret' }), body({ contains: 'ready' }))).toMatchObject({
      ok: false,
      detail: 'status 200, and the body is not what is expected',
    });
  });

  it('is looked for at the beginning of a huge body only', async () => {
    const { ok, server } = await answered(flood(50 * 2 ** 20), body({ contains: 'ready' }, 64 * 1_024));
    expect(ok).toBe(false);
    expect(server.requests[0]!.answeredBytes).toBeLessThan(20 * 2 ** 20);
    const late = respond({ body: `${'x'.repeat(100)}ready` });
    expect((await answered(late, body({ contains: 'ready' }, 100))).ok).toBe(false);
  });

  it('is missed where the body breaks off before', async () => {
    expect((await answered(cutMidBody(), body({ contains: 'never' }))).ok).toBe(false);
  });

  it('is missed where the body hangs before', async () => {
    const result = await answered(stallAfterHead({}, ['re']), {
      ...body({ contains: 'ready' }),
      timeoutMs: 80,
    });
    expect(result).toMatchObject({ ok: false, detail: 'not done within 80 ms' });
  });
});

describe('a server that says that it is not quite well', () => {
  const expected = { degraded: { status: [429], headers: { 'x-health': '^degraded' } } };

  it('passes as degraded by a status, which need not be an expected one', async () => {
    expect(await answered(respond({ status: 429 }), { expected })).toMatchObject({
      ok: true,
      degraded: true,
      detail: 'status 429: degraded by its status',
    });
  });

  it('passes as degraded by a field', async () => {
    const answer = respond({ headers: { 'X-Health': 'Degraded: disk' } });
    expect(await answered(answer, { expected })).toMatchObject({
      ok: true,
      degraded: true,
      detail: 'status 200: degraded by x-health',
    });
  });

  it('is as good as any without such a sign', async () => {
    expect(
      (await answered(respond({ headers: { 'x-health': 'fine' } }), { expected })).degraded,
    ).toBeUndefined();
  });
});

describe('a server that does not answer properly', () => {
  const timeoutMs = 80;

  it.each([
    ['says nothing', stall()],
    ['accepts and says nothing', silenceOnAccept()],
    ['drips its head', drippedHead({ everyMs: 20 })],
  ])('%s: failed at the timeout', async (_, step) => {
    const result = await answered(step, { timeoutMs });
    expect(result).toMatchObject({ ok: false, detail: 'not done within 80 ms' });
  });

  it.each([
    ['closes instead', closeBeforeResponse()],
    ['closes in the middle of its head', closeMidHead()],
    ['does not speak HTTP', garbage()],
  ])('%s: failed at once, with a reason', async (_, step) => {
    const { ok, detail } = await answered(step);
    expect(ok).toBe(false);
    expect(detail).toMatch(/^GET http:\/\/127\.0\.0\.1:\d+\/healthz: \S/);
  });

  it('is not there: failed at once, without the query in the reason', async () => {
    await using dead = await closedPort();
    const url = `http://127.0.0.1:${dead.port}/healthz?token=abc`;
    const { ok, detail } = await look('', { url });
    expect(ok).toBe(false);
    expect(detail).toContain('ECONNREFUSED');
    expect(detail).not.toContain('abc');
  });
});

describe('over TLS', () => {
  it('checks the certificate, and shows its own', async () => {
    await using server = await scriptedUpstream([respond()], { tls: { requireClientCertificate: true } });
    expect((await look(server.origin, { tls: { ca: testCa, ...clientIdentity() } })).ok).toBe(true);
  });

  it('checks the certificate for the server, whatever Host it sends', async () => {
    await using server = await scriptedUpstream([respond()], { tls: {} });
    const headers = { host: 'search.internal' };
    expect(await look(server.origin, { headers, tls: { ca: testCa } })).toMatchObject({
      detail: 'status 200',
    });
  });

  it('fails on a certificate for another name', async () => {
    await using server = await scriptedUpstream([respond()], { tls: { identity: 'wrong-host' } });
    const result = await look(server.origin, { tls: { ca: testCa } });
    expect(result.ok).toBe(false);
    expect(server.requests).toHaveLength(0);
  });
});
