/** What a ladder carries from one upstream to the next, and what must not come along. */
import { describe, expect, test } from 'vitest';
import { closedPort } from '../support/dead-ports.ts';
import { rawClient, request } from '../support/raw-client.ts';
import type { RequestInit } from '../support/raw-client.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { TestSidecar } from '../support/start-sidecar.ts';
import { respond, respondWith } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { stall } from '../support/steps/silence.ts';
import { turns } from '../support/turns.ts';

const echo = respondWith(({ body, target }) => ({ body: `${target} ${body.toString()}` }));

interface Ladder {
  readonly first: string;
  readonly second: string;
  /** Further settings of the two, as the inside of flow mappings. */
  readonly firstIs?: string;
  readonly secondIs?: string;
  /** The ladder itself. Default: the second upstream. */
  readonly fallback?: string;
  readonly policies?: string;
}

/** Upstream `first`, routed at `/first`, with `second` behind it. */
function ladder(options: Ladder): Promise<TestSidecar> {
  const { first, second, firstIs = '', secondIs = '', policies = '' } = options;
  const { fallback = '[{ upstream: second }]' } = options;
  return startSidecar(`
upstreams:
  first:
    { route: /first, endpoints: [{ url: "${first}" }], ${firstIs} policies: { retry: false, ${policies} fallback: ${fallback} } }
  second: { route: /second, endpoints: [{ url: "${second}" }], ${secondIs} policies: { retry: false } }
`);
}

const ask = ({ port }: TestSidecar, init: RequestInit = {}): Promise<RawResponse> =>
  request(port, { path: '/first/x', ...init });

describe('a base path of the second upstream', () => {
  test.each(['/../admin', '/%2e%2e/admin', '/a/..\\..\\admin', '/..;/admin'])(
    'cannot be left through the ladder of the first, which has none (%s)',
    async (path) => {
      await using closed = await closedPort();
      await using second = await scriptedUpstream([echo]);
      const first = `http://127.0.0.1:${closed.port}`;
      await using on = await ladder({ first, second: `${second.origin}/tenant` });
      expect(await (await ask(on, { path: '/first/fine' })).text()).toBe('/tenant/fine ');
      const response = await ask(on, { path: `/first${path}` });
      expect([response.status, response.header('x-outrigger-code')]).toEqual([400, 'bad_request']);
      expect(second.requests.map(({ target }) => target)).toEqual(['/tenant/fine']);
    },
  );

  test('does not keep such a target from a first upstream that has none', async () => {
    await using first = await scriptedUpstream([echo]);
    await using on = await ladder({ first: first.origin, second: `${first.origin}/tenant` });
    expect(await (await ask(on, { path: '/first/a/../b' })).text()).toBe('/a/../b ');
  });
});

describe('who the client is', () => {
  const FIELDS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'];
  const claim = { 'x-forwarded-for': '6.6.6.6' };

  test('is told to upstreams of one’s own only, not to the one behind them', async () => {
    await using first = await scriptedUpstream([respond({ status: 503 })]);
    await using second = await scriptedUpstream([echo]);
    const firstIs = 'forwarded: true,';
    await using on = await ladder({ first: first.origin, second: second.origin, firstIs });
    expect((await ask(on)).status).toBe(200);
    expect(FIELDS.filter((name) => first.requests[0]?.header(name) === undefined)).toEqual([]);
    expect(FIELDS.filter((name) => second.requests[0]?.header(name) !== undefined)).toEqual([]);
  });

  test('is told to an upstream of one’s own behind another, which only gets what the client claims', async () => {
    await using first = await scriptedUpstream([respond({ status: 503 })]);
    await using second = await scriptedUpstream([echo]);
    const secondIs = 'forwarded: true,';
    await using on = await ladder({ first: first.origin, second: second.origin, secondIs });
    expect((await ask(on, { headers: claim })).status).toBe(200);
    expect(first.requests[0]?.headers('x-forwarded-for')).toEqual(['6.6.6.6']);
    expect(second.requests[0]?.headers('x-forwarded-for')).toEqual(['127.0.0.1']);
  });
});

describe('a credential in a field of the operator’s choice', () => {
  const firstIs = 'credentials: { header: X-Tool-Key, value: operators }, ';
  const sent = { headers: { 'x-tool-key': 'clients', 'x-other': 'kept' } };

  test('is not shown to the second upstream, neither the client’s nor the operator’s', async () => {
    await using first = await scriptedUpstream([respond({ status: 503 })]);
    await using second = await scriptedUpstream([echo]);
    await using on = await ladder({ first: first.origin, second: second.origin, firstIs });
    expect((await ask(on, sent)).status).toBe(200);
    expect(first.requests[0]?.headers('x-tool-key')).toEqual(['operators']);
    expect(second.requests[0]?.headers('x-tool-key')).toEqual([]);
    expect(second.requests[0]?.header('x-other')).toBe('kept');
  });

  test('is the client’s own where both upstreams have one owner', async () => {
    await using first = await scriptedUpstream([respond({ status: 503 })]);
    await using second = await scriptedUpstream([echo]);
    const fallback = '[{ upstream: second, forwardCredentials: true }]';
    await using on = await ladder({ first: first.origin, second: second.origin, firstIs, fallback });
    await ask(on, sent);
    expect(second.requests[0]?.headers('x-tool-key')).toEqual(['clients']);
  });
});

describe('a body that is rewritten on the way', () => {
  const fallback = '[{ upstream: second, rewrite: { body: { model: other } } }]';
  const slowly = `{ after: 50ms, steps: ${fallback} }`;
  const text = 'y'.repeat(200_000);
  const body = JSON.stringify({ model: 'x', seed: 1, text });
  const rewritten = JSON.stringify({ model: 'other', seed: 1, text });

  test.each([false, true])('may still be coming in when the first fails (chunked: %s)', async (chunked) => {
    await using closed = await closedPort();
    await using second = await scriptedUpstream([echo]);
    const first = `http://127.0.0.1:${closed.port}`;
    await using on = await ladder({ first, second: second.origin, fallback });
    const response = await ask(on, { method: 'POST', body, chunked });
    expect(await response.text()).toBe(`/x ${rewritten}`);
    expect(second.requests[0]?.framing).toEqual({ kind: 'length', bytes: rewritten.length });
  });

  test('is whole also where the first one takes it and does not answer in time', async () => {
    await using first = await scriptedUpstream([stall()]);
    await using second = await scriptedUpstream([echo]);
    await using on = await ladder({ first: first.origin, second: second.origin, fallback: slowly });
    const response = await ask(on, { method: 'POST', body });
    expect(await response.text()).toBe(`/x ${rewritten}`);
    expect(first.requests[0]?.text()).toBe(body);
  });

  test('is waited for while the client sends it, at a pace of its own', async () => {
    await using closed = await closedPort();
    await using second = await scriptedUpstream([echo]);
    const first = `http://127.0.0.1:${closed.port}`;
    await using on = await ladder({ first, second: second.origin, fallback });
    await using client = await rawClient(on.port);
    void client.send(`POST /first/x HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n`);
    for (let at = 0; at < body.length; at += 40_000) {
      void client.send(body.slice(at, at + 40_000));
      await turns(5);
    }
    expect(await (await client.response('POST')).text()).toBe(`/x ${rewritten}`);
  });

  test('keeps nothing under way when the client leaves in the middle of it', async () => {
    await using closed = await closedPort();
    await using second = await scriptedUpstream([echo]);
    const first = `http://127.0.0.1:${closed.port}`;
    await using on = await ladder({ first, second: second.origin, fallback });
    await using client = await rawClient(on.port);
    void client.send(`POST /first/x HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n`);
    void client.send(body.slice(0, 150_000));
    await on.waitForEvent('attempt-ended');
    client.destroy();
    const [ended] = await on.waitForEvent('exchange-ended');
    expect(ended).toMatchObject({ reason: 'client_aborted', result: 'aborted' });
    expect(on.sidecar.dataPlane.activeCount).toBe(0);
    expect(on.sidecar.dataPlane.replayBytes).toBe(0);
    expect(second.requests).toEqual([]);
  });

  test('is none for a GET, which goes to the second as it is', async () => {
    await using closed = await closedPort();
    await using second = await scriptedUpstream([echo]);
    const first = `http://127.0.0.1:${closed.port}`;
    await using on = await ladder({ first, second: second.origin, fallback });
    expect(await (await ask(on)).text()).toBe('/x ');
  });

  test('is no reason to give up a slow answer where it cannot be rewritten', async () => {
    const answer = controlledStream();
    await using first = await scriptedUpstream([answer]);
    await using second = await scriptedUpstream([echo]);
    await using on = await ladder({
      first: first.origin,
      second: second.origin,
      fallback: '{ after: 1ms, steps: [{ upstream: second, rewrite: { body: { model: other } } }] }',
    });
    const response = ask(on, { method: 'POST', body: 'no JSON' });
    await first.waitForRequest();
    await turns(50);
    await answer.head();
    await answer.write('slow, but good');
    await answer.end();
    expect(await (await response).text()).toBe('slow, but good');
    expect(second.requests).toEqual([]);
  });
});

describe('an answer through a ladder', () => {
  const sick = (name: string) => respond({ status: 503, headers: { 'x-who': name }, body: name });

  test('names the upstream that brought it, not the one that was asked last', async () => {
    await using first = await scriptedUpstream([sick('first')]);
    await using second = await scriptedUpstream([sick('second')]);
    await using on = await ladder({ first: first.origin, second: second.origin });
    const worst = await ask(on);
    expect(await worst.text()).toBe('first');
    expect(worst.header('x-who')).toBe('first');
    expect(worst.header('x-outrigger-attempts')).toBe('2');
    expect(worst.header('x-outrigger-upstream')).toBeUndefined();
    second.play([respond({ body: 'better' })]);
    const better = await ask(on);
    expect(await better.text()).toBe('better');
    expect(better.header('x-outrigger-upstream')).toBe('second');
  });

  test('names the next hop that failed, although another one was asked after it', async () => {
    await using closed = await closedPort();
    await using second = await scriptedUpstream([sick('second')]);
    const first = `http://127.0.0.1:${closed.port}`;
    await using on = await ladder({ first, second: second.origin });
    const response = await ask(on);
    expect([response.status, response.header('x-outrigger-code')]).toEqual([502, 'connection_refused']);
    expect(response.header('proxy-status')).toContain(`127.0.0.1:${closed.port}`);
    expect(response.header('proxy-status')).not.toContain(String(second.port));
    expect(response.header('x-outrigger-upstream')).toBeUndefined();
  });

  test('that was refused names no hop of another upstream', async () => {
    await using first = await scriptedUpstream([respond({ status: 500 })]);
    await using second = await scriptedUpstream([sick('second')]);
    const policies = 'circuitBreaker: { consecutiveFailures: 1 },';
    await using on = await ladder({ first: first.origin, second: second.origin, policies });
    await (await ask(on)).ended();
    const response = await ask(on);
    expect(response.header('x-outrigger-code')).toBe('circuit_open');
    expect(response.header('proxy-status')).not.toContain(String(second.port));
    expect(response.header('x-outrigger-upstream')).toBeUndefined();
  });
});
