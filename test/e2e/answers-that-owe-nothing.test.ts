/** Answers without a body that are whole all the same, and streams that nobody knows: neither is held or taken for a failure. */
import { expect, it } from 'vitest';
import { rawClient, request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respond, respondRaw } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';

const route = (origin: string, dialect: string, more = ''): string => `
upstreams:
  api:
    route: /api
    dialect: ${dialect}
    endpoints: [{ url: "${origin}" }]
    policies: { retry: { maxRetries: 2, backoff: { initial: 1ms } } ${more} }
`;

const JSON_TYPE = { 'content-type': 'application/json' };
const NOTIFICATION = '{"jsonrpc":"2.0","method":"notifications/initialized"}';

it.each([202, 200])('a notification is answered by %i and nothing, and sent once', async (status) => {
  await using upstream = await scriptedUpstream([respond({ status, headers: JSON_TYPE, body: '' })]);
  await using proxy = await startSidecar(route(upstream.origin, 'mcp'));
  const answer = await request(proxy.port, {
    method: 'POST',
    path: '/api/mcp',
    headers: JSON_TYPE,
    body: NOTIFICATION,
  });
  expect(answer.status).toBe(status);
  expect(upstream.requests.length).toBe(1);
});

it('a DELETE is answered by 200 and nothing', async () => {
  await using upstream = await scriptedUpstream([respond({ headers: JSON_TYPE, body: '' })]);
  await using proxy = await startSidecar(route(upstream.origin, 'a2a'));
  const path = '/api/tasks/t/pushNotificationConfigs/c';
  expect((await request(proxy.port, { method: 'DELETE', path })).status).toBe(200);
  expect(upstream.requests.length).toBe(1);
});

it.each(['openai', 'anthropic', 'gemini'])(
  'a stream of another endpoint (%s) is passed on at once',
  async (dialect) => {
    const stream = controlledStream();
    await using upstream = await scriptedUpstream([stream]);
    await using proxy = await startSidecar(route(upstream.origin, dialect));
    await using client = await rawClient(proxy.port);
    const answer = client.request({ method: 'POST', path: '/api/v1/threads/t/runs', body: '{}' });
    await stream.head();
    await stream.write('event: thread.created\ndata: {"id":"t"}\n\n');
    expect((await answer).status).toBe(200);
    await stream.write('event: done\ndata: [DONE]\n\n');
    await stream.end();
    expect((await (await answer).bytes()).toString()).toContain('[DONE]');
  },
);

it('a stream with a length that is cut after its end mark does not leave its client waiting', async () => {
  const chunk =
    'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
  const head = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${chunk.length + 50}\r\n\r\n`;
  await using upstream = await scriptedUpstream([respondRaw(`${head}${chunk}`)]);
  await using proxy = await startSidecar(route(upstream.origin, 'openai'));
  await using client = await rawClient(proxy.port);
  const answer = await client.request({
    method: 'POST',
    path: '/api/v1/chat/completions',
    body: '{"stream":true}',
  });
  await expect(answer.bytes()).rejects.toThrow();
});
