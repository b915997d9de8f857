/** Two endpoints on real sockets, one of which takes its time: who answers, what becomes of the other, and what was done. */
import { expect, test } from 'vitest';
import { chat, openaiAt } from '../clients/fixture.ts';
import { CHAT_JSON, STREAMS } from '../support/openai-fixtures.ts';
import { rawClient, request, type RequestInit } from '../support/raw-client.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar, type LogLine, type TestSidecar } from '../support/start-sidecar.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { holdResponse } from '../support/steps/hold-response.ts';
import { stall } from '../support/steps/silence.ts';
import type { Script } from '../support/upstream/step.ts';
import { USAGE, ask, chunk, wholeStream } from './usage-fixture.ts';

interface Pair extends AsyncDisposable {
  /** The first to be asked. */
  readonly slow: ScriptedUpstream;
  readonly fast: ScriptedUpstream;
  readonly sidecar: TestSidecar;
  send(init?: RequestInit): Promise<RawResponse>;
  /** The line of the exchange, once it has ended. */
  line(): Promise<LogLine>;
}

const HEDGE = 'hedge: { after: 20ms, budget: { floor: 1000 } }';

async function pair(slowly: Script, quickly: Script, settings = `policies: { ${HEDGE} }`): Promise<Pair> {
  const slow = await scriptedUpstream(slowly);
  const fast = await scriptedUpstream(quickly);
  const sidecar = await startSidecar(
    `upstreams: { api: { route: /api, endpoints: [{ url: "${slow.origin}" }, { url: "${fast.origin}" }], ${settings} } }`,
  );
  return {
    slow,
    fast,
    sidecar,
    send: ({ path = '/', ...init } = {}) => request(sidecar.port, { ...init, path: `/api${path}` }),
    line: async () => (await sidecar.waitForLines(({ msg }) => msg === 'exchange')).at(-1) as LogLine,
    [Symbol.asyncDispose]: async () => {
      await sidecar[Symbol.asyncDispose]();
      await Promise.all([slow[Symbol.asyncDispose](), fast[Symbol.asyncDispose]()]);
    },
  };
}

const COMPUTE = (policies = ''): string =>
  `dialect: openai, idempotent: compute, models: ['gpt-5*'], policies: { ${HEDGE}, retry: false, ${policies} }`;

test('the answer is that of the faster endpoint, and the slower one is left at once', async () => {
  await using on = await pair([stall()], [respond({ body: 'fast' })]);
  const response = await on.send({ headers: { 'x-outrigger-debug': '1' } });
  expect(await response.text()).toBe('fast');
  expect((await on.slow.waitForAbort()).request.number).toBe(1);
  await on.slow.waitForOpenConnections(0);
  expect(response.header('x-outrigger-attempts')).toBe('2');
  expect(response.header('x-outrigger-trail')).toMatch(/^1 \S+ superseded\b.*; 2 \S+ 200 \d+ms spare$/);
  expect(await on.line()).toMatchObject({
    endpoint: on.fast.origin,
    attempts: 2,
    outcome: 'ok',
    trail: [
      { n: 1, endpoint: on.slow.origin, reason: 'superseded', class: 'abandoned' },
      { n: 2, endpoint: on.fast.origin, status: 200, spare: true },
    ],
  });
  expect(on.sidecar.eventsNamed('hedge-won')).toMatchObject([{ by: 'spare' }]);
  expect(await on.sidecar.metric('outrigger_hedges_total', { upstream: 'api' })).toBe(1);
  expect(await on.sidecar.metric('outrigger_hedges_won_total', { by: 'spare' })).toBe(1);
  expect(await on.sidecar.metric('outrigger_hedge_delay_seconds')).toBe(0.02);
});

test('the first wins where it was only a little late, and the spare is left', async () => {
  const held = holdResponse(respond({ body: 'slow but here' }));
  await using on = await pair([held], [stall()]);
  const sending = on.send();
  await on.fast.waitForRequest();
  held.release();
  expect(await (await sending).text()).toBe('slow but here');
  await on.fast.waitForAbort();
  await on.fast.waitForOpenConnections(0);
  expect(await on.line()).toMatchObject({ endpoint: on.slow.origin, attempts: 2 });
  expect(on.sidecar.eventsNamed('hedge-won')).toMatchObject([{ by: 'first' }]);
});

test('both are left when the client leaves, and neither breaker holds it against anybody', async () => {
  await using on = await pair([stall()], [stall()]);
  await using client = await rawClient(on.sidecar.port);
  void client.send('GET /api/ HTTP/1.1\r\nhost: a\r\n\r\n');
  await on.fast.waitForRequest();
  client.destroy();
  await Promise.all([on.slow.waitForAbort(), on.fast.waitForAbort()]);
  expect(await on.line()).toMatchObject({ outcome: 'aborted', attempts: 2 });
  expect(on.sidecar.eventsNamed('hedge-won')).toEqual([]);
});

test('an upstream with one endpoint is asked on another connection', async () => {
  await using upstream = await scriptedUpstream([stall(), respond({ body: 'second' })]);
  await using sidecar = await startSidecar(
    `upstreams: { api: { route: /api, endpoints: [{ url: "${upstream.origin}" }], policies: { ${HEDGE} } } }`,
  );
  expect(await (await request(sidecar.port, { path: '/api/' })).text()).toBe('second');
  expect(new Set(upstream.requests.map(({ connection }) => connection)).size).toBe(2);
  await upstream.waitForAbort();
});

test('a POST is asked once, however slow, and where it has a key the other endpoint gets the same', async () => {
  const held = holdResponse(respond({ body: 'done' }));
  await using on = await pair(
    () => held,
    () => respond({ body: 'done twice' }),
  );
  const plain = on.send({ method: 'POST', body: 'pay' });
  await held.waitForHeld();
  await on.sidecar.waitForEvent('hedge-refused');
  expect(on.fast.requests).toHaveLength(0);
  held.releaseOne();
  expect(await (await plain).text()).toBe('done');
  // The turn of the other endpoint is over when it has answered one, which must not be raced however slow this machine is.
  await (await on.send({ method: 'POST', body: 'pay' })).text();
  const keyed = await on.send({ method: 'POST', body: 'pay', headers: { 'Idempotency-Key': 'k1' } });
  expect(await keyed.text()).toBe('done twice');
  const keys = [on.slow, on.fast].map(({ requests }) => requests.at(-1)?.header('idempotency-key'));
  expect(keys).toEqual(['k1', 'k1']);
  expect(on.fast.requests.at(-1)?.text()).toBe('pay');
  await on.slow.waitForAbort();
});

test('an upload beyond one write is sent whole to both', async () => {
  const body = Buffer.alloc(3 * 1024 * 1024, 'abcdefghij');
  await using on = await pair([stall()], [respond({ body: 'got it' })]);
  const response = await on.send({ method: 'POST', body, headers: { 'idempotency-key': 'k1' } });
  expect(await response.text()).toBe('got it');
  expect(on.slow.requests[0]?.body.equals(body)).toBe(true);
  expect(on.fast.requests[0]?.body.equals(body)).toBe(true);
  await on.slow.waitForOpenConnections(0);
});

test('the first word wins, not the first head; the client sees nothing of the stream that lost', async () => {
  const [first, spare] = [controlledStream(), controlledStream()];
  await using on = await pair([first], [spare], COMPUTE());
  const sending = on.send(ask({ stream: true }));
  const counted = { prompt_tokens: 1_000, completion_tokens: 0 };
  await first.head();
  await first.write(eventText(chunk({ choices: [], usage: counted })));
  await spare.waitForRequest();
  await spare.head();
  const text = [...wholeStream.map(eventText), eventText('[DONE]')].join('');
  await spare.write(text);
  await spare.end();
  expect(await (await sending).text()).toBe(text);
  await on.slow.waitForAbort();
  expect(await on.line()).toMatchObject({
    outcome: 'ok',
    inputTokens: 1_000 + USAGE.prompt_tokens,
    wastedTokens: 1_000,
    trail: [{ reason: 'superseded', wasted: 'discarded' }, { status: 200 }],
  });
  const labels = { upstream: 'api', why: 'discarded', type: 'input' };
  expect(await on.sidecar.metric('outrigger_wasted_tokens_total', labels)).toBe(1_000);
  expect(on.sidecar.eventsNamed('answer-read')).toHaveLength(2);
});

test('a completion is computed twice at most, one that leaves traces once', async () => {
  const held = holdResponse(respondJson(CHAT_JSON));
  await using on = await pair(
    () => held,
    () => held,
    COMPUTE(),
  );
  const completion = on.send(ask());
  await on.slow.waitForRequest();
  await on.fast.waitForRequest();
  held.release();
  expect((await completion).status).toBe(200);
  const traces = on.send({ ...ask(), path: '/v1/batches' });
  expect((await traces).status).toBe(200);
  expect(on.slow.requests.length + on.fast.requests.length).toBe(3);
});

test('what would cost too much has no spare', async () => {
  const held = holdResponse(respondJson(CHAT_JSON));
  await using on = await pair(
    () => held,
    () => held,
    COMPUTE('spendCap: { tokens: 10 }'),
  );
  const completion = on.send(ask());
  await on.sidecar.waitForEvent('hedge-refused');
  expect(on.sidecar.eventsNamed('spend-refused')).toMatchObject([{ by: 'hedge' }]);
  held.release();
  expect((await completion).status).toBe(200);
  expect(on.fast.requests).toHaveLength(0);
  expect(await on.sidecar.metric('outrigger_hedges_refused_total', { why: 'spend' })).toBe(1);
});

test.each(Object.keys(STREAMS) as (keyof typeof STREAMS)[])(
  'a stream that won has the same bytes as without the sidecar: %s',
  async (name) => {
    const body = STREAMS[name];
    const answer = respond({
      framing: 'chunked',
      headers: { 'content-type': 'text/event-stream' },
      body: [body],
    });
    await using on = await pair([stall()], [answer], COMPUTE());
    const client = openaiAt(`http://127.0.0.1:${on.sidecar.port}/api/v1`);
    const call = client.chat.completions.create({ ...chat, stream: true });
    const bytes = Buffer.from(await (await call.asResponse()).arrayBuffer());
    expect(bytes.toString()).toBe(Buffer.from(body).toString());
    expect(on.fast.requests[0]?.text()).toBe(on.slow.requests[0]?.text());
  },
);

test('a reload in the middle of a race lets it finish', async () => {
  const held = holdResponse(respond({ body: 'in the end' }));
  await using on = await pair([held], [stall()]);
  const sending = on.send();
  await on.fast.waitForRequest();
  await on.sidecar.sidecar.reload('test');
  held.release();
  expect(await (await sending).text()).toBe('in the end');
  await on.fast.waitForAbort();
});
