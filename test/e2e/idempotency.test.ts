/** Requests with keys over real sockets: duplicates, clients that leave, and what an upstream that counts has seen. */
import { describe, expect, it } from 'vitest';
import type { RawResponse } from '../support/client/raw-response.ts';
import { rawClient, type RequestInit } from '../support/raw-client.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { closeBeforeResponse, cutMidBody } from '../support/steps/cuts.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { stage } from './stage.ts';
import type { Stage } from './stage.ts';

const QUIET = 'retry: { backoff: { initial: 0s, max: 0s }, budget: false }, circuitBreaker: false';
const withOptions = (options = '') => ({ api: `policies: { ${QUIET}, idempotency: { ${options} } }` });

const keyed = (init: RequestInit = {}, key = 'k-1'): RequestInit => ({
  method: 'POST',
  path: '/payments',
  body: '{"amount":1}',
  ...init,
  headers: { 'Idempotency-Key': key, 'content-type': 'application/json' },
});

const about = (response: RawResponse): unknown[] => [
  response.status,
  response.header('idempotent-replayed'),
  response.header('x-outrigger-source'),
];

const decided = ({ sidecar }: Stage): string[] =>
  sidecar.eventsNamed('idempotency-decided').map(({ result }) => result);

const codeOf = (response: RawResponse): (string | number | undefined)[] => [
  response.status,
  response.header('x-outrigger-code'),
];

describe('requests with a key', () => {
  it('are made once; who repeats one gets the first answer, marked', async () => {
    await using play = await stage(
      [respondJson({ id: 'pay_1' }, { status: 201, headers: { location: '/payments/1' } })],
      withOptions(),
    );
    const first = await play.send(keyed());
    const body = await first.text();
    const second = await play.send(keyed());
    expect([about(first), about(second)]).toEqual([
      [201, undefined, undefined],
      [201, 'true', 'replay'],
    ]);
    expect([await second.text(), second.header('location')]).toEqual([body, '/payments/1']);
    expect(play.upstream.requests.map((request) => request.headers('idempotency-key'))).toEqual([['k-1']]);
    expect(await play.sidecar.metric('outrigger_idempotency_requests_total', { result: 'replayed' })).toBe(1);
    expect(await play.sidecar.metric('outrigger_idempotency_keys')).toBe(1);
  });

  it('must be the same request each time', async () => {
    await using play = await stage([respond({ body: 'done' })], withOptions());
    await (await play.send(keyed())).ended();
    const other = await play.send(keyed({ body: '{"amount":2}' }));
    expect(codeOf(other)).toEqual([422, 'idempotency_key_reused']);
    expect(JSON.parse(await other.text())).toMatchObject({ code: 'idempotency_key_reused' });
    expect(play.upstream.requests).toHaveLength(1);
  });

  it('are refused where they have none and need one, or one that cannot be read', async () => {
    await using play = await stage([], withOptions('required: true'));
    expect(codeOf(await play.send({ method: 'POST', body: 'x' }))).toEqual([400, 'idempotency_key_missing']);
    expect(codeOf(await play.send(keyed({}, 'a, b')))).toEqual([400, 'idempotency_key_invalid']);
    expect(play.upstream.requests).toEqual([]);
  });

  it('are tried again by retry as one run, and replayed as one', async () => {
    await using play = await stage([closeBeforeResponse(), respond({ body: 'done' })], withOptions());
    expect(await (await play.send(keyed())).text()).toBe('done');
    expect(await (await play.send(keyed())).text()).toBe('done');
    expect(play.upstream.requests).toHaveLength(2);
  });

  it('are not tried again where the upstream does not get the key', async () => {
    await using play = await stage([closeBeforeResponse()], withOptions('forward: none'));
    const first = await play.send(keyed());
    expect(first.status).toBe(502);
    const second = await play.send(keyed());
    expect(codeOf(second)).toEqual([409, 'outcome_unknown']);
    expect(JSON.parse(await second.text())).toMatchObject({ detail: 'it ended with connection_reset' });
    expect(play.upstream.requests.map((request) => request.headers('idempotency-key'))).toEqual([[]]);
  });

  it('are unknown when the answer broke off', async () => {
    await using play = await stage([cutMidBody()], withOptions());
    expect(await (await play.send(keyed())).ended()).not.toBe('complete');
    expect(codeOf(await play.send(keyed()))).toEqual([409, 'outcome_unknown']);
    expect(play.upstream.requests).toHaveLength(1);
    expect(await play.sidecar.metric('outrigger_idempotency_runs_total', { kept: 'unknown' })).toBe(1);
  });

  it('may be large: the run has a body of its own', async () => {
    const body = JSON.stringify({ text: 'x'.repeat(600_000) });
    await using play = await stage([closeBeforeResponse(), respond({ body: 'done' })], withOptions());
    expect(await (await play.send(keyed({ body }))).text()).toBe('done');
    expect(play.upstream.requests.map((request) => request.text().length)).toEqual([
      body.length,
      body.length,
    ]);
    expect(about(await play.send(keyed({ body })))).toEqual([200, 'true', 'replay']);
  });

  it('may have no body', async () => {
    await using play = await stage([respond({ body: 'done' })], withOptions());
    const bare: RequestInit = { method: 'POST', path: '/x', headers: { 'Idempotency-Key': '"k"' } };
    expect(await (await play.send(bare)).text()).toBe('done');
    expect(about(await play.send(bare))).toEqual([200, 'true', 'replay']);
  });
});

describe('duplicates of a request that is under way', () => {
  it('wait and get the same answer', async () => {
    const held = holdResponse(respond({ body: 'done' }));
    await using play = await stage([held], withOptions());
    const all = [play.send(keyed()), play.send(keyed()), play.send(keyed())];
    await held.waitForHeld();
    await expect.poll(async () => play.sidecar.metric('outrigger_idempotency_waiting')).toBe(2);
    held.release();
    const responses = await Promise.all(all);
    expect(await Promise.all(responses.map((one) => one.text()))).toEqual(['done', 'done', 'done']);
    expect(responses.filter((one) => one.header('idempotent-replayed') === 'true')).toHaveLength(2);
    expect(play.upstream.requests).toHaveLength(1);
    expect(decided(play).sort()).toEqual(['joined', 'joined', 'run']);
  });

  it('join a stream: what came so far at once, then the rest as it comes', async () => {
    const stream = controlledStream();
    await using play = await stage([stream], withOptions());
    const sending = play.send(keyed());
    await stream.head();
    const first = await sending;
    await stream.write('data: 1\n\n');
    await first.waitForBytes(9);
    const second = await play.send(keyed());
    expect((await second.nextChunk())?.bytes.toString()).toBe('data: 1\n\n');
    await stream.write('data: 2\n\n');
    expect((await second.nextChunk())?.bytes.toString()).toBe('data: 2\n\n');
    await stream.end();
    expect(await Promise.all([first.text(), second.text()])).toEqual(Array(2).fill('data: 1\n\ndata: 2\n\n'));
    const third = await play.send(keyed());
    // Frame by frame, as it came, not in one lump.
    expect(await third.text()).toBe('data: 1\n\ndata: 2\n\n');
    expect(third.arrivals.length).toBe(2);
    expect(play.upstream.requests).toHaveLength(1);
  });

  it('share a cut, visibly', async () => {
    const stream = controlledStream();
    await using play = await stage([stream], withOptions());
    const sending = play.send(keyed());
    await stream.head();
    const first = await sending;
    const second = await play.send(keyed());
    await stream.write('data: 1\n\n');
    await Promise.all([first.waitForBytes(9), second.waitForBytes(9)]);
    await stream.reset();
    expect(await Promise.all([first.ended(), second.ended()])).not.toContain('complete');
    expect(codeOf(await play.send(keyed()))).toEqual([409, 'outcome_unknown']);
  });

  it('do not have to wait for a reader that has stopped reading', async () => {
    const text = 'data: x\n\n'.repeat(400_000);
    await using play = await stage([respond({ body: text })], withOptions('maxEntryBytes: 16MiB'));
    await using stuck = await rawClient(play.port);
    const slow = await stuck.request({ ...keyed(), path: '/api/payments' });
    stuck.pause();
    const quick = await play.send(keyed());
    expect((await quick.text()).length).toBe(text.length);
    stuck.resume();
    expect((await slow.text()).length).toBe(text.length);
    expect(play.upstream.requests).toHaveLength(1);
  });

  it('are told to come again when it takes too long', async () => {
    const held = holdResponse(respond({ body: 'done' }));
    await using play = await stage([held], withOptions('maxWait: 20ms'));
    const first = play.send(keyed());
    await held.waitForHeld();
    const second = await play.send(keyed());
    expect([...codeOf(second), second.header('retry-after')]).toEqual([409, 'idempotency_in_progress', '1']);
    held.release();
    expect(await (await first).text()).toBe('done');
  });
});

describe('clients that leave', () => {
  it('come back and get what became of it', async () => {
    const held = holdResponse(respond({ body: 'paid' }));
    await using play = await stage([held], withOptions());
    const client = await rawClient(play.port);
    void client.request({ ...keyed(), path: '/api/payments' }).catch(() => undefined);
    await held.waitForHeld();
    client.destroy();
    await play.sidecar.waitForEvent('exchange-ended');
    expect(await play.sidecar.metric('outrigger_idempotency_unattended')).toBe(1);
    held.release();
    await play.sidecar.waitForEvent('idempotency-ended');
    const again = await play.send(keyed());
    expect([about(again), await again.text()]).toEqual([[200, 'true', 'replay'], 'paid']);
    expect(play.upstream.requests).toHaveLength(1);
    expect(play.upstream.requests[0]?.complete).toBe(true);
  });

  it('leave a stream to those who joined it', async () => {
    const stream = controlledStream();
    await using play = await stage([stream], withOptions('finish: false'));
    const client = await rawClient(play.port);
    const sending = client.request({ ...keyed(), path: '/api/payments' });
    await stream.head();
    await sending;
    await stream.write('data: 1\n\n');
    const second = await play.send(keyed());
    await second.waitForBytes(9);
    client.destroy();
    await play.sidecar.waitForEvent('exchange-ended');
    await stream.write('data: 2\n\n');
    await stream.end();
    expect(await second.text()).toBe('data: 1\n\ndata: 2\n\n');
  });

  it('end it where it is to end with them', async () => {
    const held = holdResponse(respond());
    await using play = await stage([held], withOptions('finish: false'));
    const client = await rawClient(play.port);
    void client.request({ ...keyed(), path: '/api/payments' }).catch(() => undefined);
    await held.waitForHeld();
    client.destroy();
    await held.waitForHeld(0);
    await play.sidecar.waitForEvent('idempotency-ended');
    expect(codeOf(await play.send(keyed()))).toEqual([409, 'outcome_unknown']);
  });
});

describe('calls of agents', () => {
  it('that only cost end with their client, and run again', async () => {
    const chat = { path: '/v1/chat/completions', body: '{"model":"m","messages":[],"stream":true}' };
    const stream = controlledStream();
    await using play = await stage([stream], {
      api: `dialect: openai, idempotent: compute, policies: { ${QUIET}, idempotency: {} }`,
    });
    const client = await rawClient(play.port);
    const sending = client.request({ ...keyed(chat), path: `/api${chat.path}` });
    await stream.head();
    await stream.write('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
    await sending;
    client.destroy();
    await play.sidecar.waitForEvent('idempotency-ended');
    expect(play.sidecar.eventsNamed('idempotency-ended').map(({ end }) => end)).toEqual(['released']);
  });

  it('of tools are told that nobody knows, in their own words', async () => {
    await using play = await stage([closeBeforeResponse()], {
      api: `dialect: mcp, policies: { ${QUIET}, idempotency: { forward: none } }`,
    });
    const call = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'pay', arguments: {} } };
    const init = keyed({ path: '/mcp', body: JSON.stringify(call) });
    for (let i = 0; i < 2; i++) {
      const response = await play.send(init);
      expect(JSON.parse(await response.text())).toMatchObject({
        id: 7,
        error: { code: -32010, data: { code: 'outcome_unknown', sent: 'maybe', tool: 'pay' } },
      });
    }
    expect(play.upstream.requests).toHaveLength(1);
  });
});
