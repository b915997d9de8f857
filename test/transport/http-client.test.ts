import { afterEach, describe, expect, it } from 'vitest';
import { HttpClient, HttpClientError } from '../../src/transport/http-client.ts';
import { CountingClock } from '../support/counting-clock.ts';
import { closedPort } from '../support/dead-ports.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { flood, redirect, respond, respondJson } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { cutMidBody } from '../support/steps/cuts.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import { clientIdentity, testCa } from '../support/tls/identities.ts';

const clock = new CountingClock();
const client = new HttpClient({ clock });
const timeoutMs = 10_000;

afterEach(() => expect(clock.armed.size).toBe(0));

async function all(chunks: AsyncIterable<Buffer>): Promise<string[]> {
  const texts: string[] = [];
  for await (const chunk of chunks) texts.push(chunk.toString());
  return texts;
}

describe('a call', () => {
  it('sends what it is given, and has the whole answer', async () => {
    await using server = await scriptedUpstream([
      respondJson({ a: 1 }, { status: 201, headers: { 'X-B': 'c' } }),
    ]);
    const url = `${server.origin}/v1/put?x=y`;
    const answer = await client.call({
      method: 'PUT',
      url,
      headers: { 'x-a': 'b' },
      body: 'text',
      timeoutMs,
    });
    expect([answer.status, answer.headers['x-b'], answer.json()]).toEqual([201, 'c', { a: 1 }]);
    const [request] = server.requests;
    expect([request?.method, request?.target, request?.header('x-a')]).toEqual(['PUT', '/v1/put?x=y', 'b']);
  });

  it('takes an answer of any status for one, and follows no redirect', async () => {
    await using server = await scriptedUpstream([
      respond({ status: 503, body: 'no' }),
      redirect('/elsewhere'),
    ]);
    const call = { url: server.origin, timeoutMs };
    expect([(await client.call(call)).status, (await client.call(call)).status]).toEqual([503, 302]);
    expect(server.requests).toHaveLength(2);
  });

  it('tells whom it asked and what was wrong, but not the query', async () => {
    await using dead = await closedPort();
    const url = `http://127.0.0.1:${dead.port}/v1/kv?token=secret`;
    const message = `GET http://127.0.0.1:${dead.port}/v1/kv: connect ECONNREFUSED 127.0.0.1:${dead.port}`;
    await expect(client.call({ url, timeoutMs })).rejects.toThrow(new HttpClientError(message));
  });

  it.each([
    ['says nothing', stall()],
    ['stops in its body', stallAfterHead({}, ['some'])],
  ])('ends at its timeout when the server %s', async (_, step) => {
    await using server = await scriptedUpstream([step]);
    const time = new FakeClock();
    const impatient = new HttpClient({ clock: time });
    const answered = impatient.call({ url: server.origin, timeoutMs: 500 });
    const failed = expect(answered).rejects.toThrow(/^GET http:\S+: no answer within 500 ms$/);
    await server.waitForRequestHead();
    await time.advance(500);
    await failed;
    impatient.dispose();
  });

  it('is broken off by its signal, before and after it began', async () => {
    await using server = await scriptedUpstream([stall()]);
    const abort = new AbortController();
    const call = { url: server.origin, timeoutMs, signal: abort.signal };
    const failed = expect(client.call(call)).rejects.toThrow(/: broken off$/);
    await server.waitForRequestHead();
    abort.abort();
    await failed;
    await expect(client.call(call)).rejects.toThrow(/: broken off$/);
  });

  it('takes no more than it may', async () => {
    await using server = await scriptedUpstream([flood(5_000_000), respond({ body: '123' })]);
    const failing = client.call({ url: server.origin, timeoutMs });
    await expect(failing).rejects.toThrow(/: the answer has more than 1048576 bytes$/);
    expect((await client.call({ url: server.origin, timeoutMs, maxBytes: 3 })).text()).toBe('123');
  });

  it('has no half answers, and says what is no JSON', async () => {
    await using server = await scriptedUpstream([cutMidBody({}), respond({ body: '<html>' })]);
    await expect(client.call({ url: server.origin, timeoutMs })).rejects.toThrow(HttpClientError);
    const answer = await client.call({ url: `${server.origin}/x`, timeoutMs });
    expect(() => answer.json()).toThrow(/x: expected JSON, got "<html>"$/);
  });

  it('of a client that is disposed of is broken off', async () => {
    await using server = await scriptedUpstream([stall()]);
    const disposed = new HttpClient({ clock });
    const failed = expect(disposed.call({ url: server.origin, timeoutMs })).rejects.toThrow(
      /not needed any more$/,
    );
    await server.waitForRequestHead();
    disposed.dispose();
    await failed;
    await expect(disposed.call({ url: server.origin, timeoutMs })).rejects.toThrow(HttpClientError);
  });

  it('trusts whom it is told to, comes as whom it is told to, and nobody else', async () => {
    await using server = await scriptedUpstream([respond({ body: 'in' })], {
      tls: { requireClientCertificate: true },
    });
    const known = new HttpClient({ clock, tls: { ca: testCa, ...clientIdentity() } });
    expect((await known.call({ url: server.origin, timeoutMs })).text()).toBe('in');
    known.dispose();
    await expect(client.call({ url: server.origin, timeoutMs })).rejects.toThrow(HttpClientError);
  });
});

describe('a stream', () => {
  it('is read as it comes, for longer than the timeout, to its end', async () => {
    const step = controlledStream();
    await using server = await scriptedUpstream([step]);
    const time = new FakeClock();
    const patient = new HttpClient({ clock: time });
    const begun = patient.stream({ url: server.origin, timeoutMs: 5_000 });
    await step.head();
    const stream = await begun;
    await time.advance(10_000);
    const chunks = stream.chunks[Symbol.asyncIterator]();
    await step.write('one');
    expect(String((await chunks.next()).value)).toBe('one');
    await step.end();
    expect((await chunks.next()).done).toBe(true);
    patient.dispose();
  });

  it('that breaks is told from one that ends', async () => {
    await using server = await scriptedUpstream([cutMidBody({})]);
    const { chunks } = await client.stream({ url: server.origin, timeoutMs });
    await expect(all(chunks)).rejects.toThrow(HttpClientError);
  });

  it('ends with its connection when it is closed, also while somebody reads', async () => {
    await using server = await scriptedUpstream([stallAfterHead(), stallAfterHead()]);
    const unread = await client.stream({ url: server.origin, timeoutMs });
    unread.close();
    const stream = await client.stream({ url: server.origin, timeoutMs });
    const read = all(stream.chunks);
    stream.close();
    expect(await read).toEqual([]);
    await server.waitUntil(() => server.aborts.length === 2, 'both connections are closed');
  });
});
