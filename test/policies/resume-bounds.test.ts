/** Who resumes a stream must not be led into a loop, nor past what its head promised. */
import { expect, it } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respondRaw } from '../support/steps/answers.ts';
import { sse } from '../support/steps/event-stream.ts';

const route = (origin: string, dialect: string): string => `
upstreams:
  api:
    route: /api
    dialect: ${dialect}
    endpoints: [{ url: "${origin}" }]
    credentials: { keys: [{ name: a, value: Bearer ka }, { name: b, value: Bearer kb }] }
    policies: { resume: { tries: 3, initial: 1ms, max: 2s }, retry: false }
`;

async function listen(port: number): Promise<string> {
  await using client = await rawClient(port);
  const headers = { accept: 'text/event-stream', 'mcp-session-id': 's' };
  const answer = await client.request({ method: 'GET', path: '/api/mcp', headers });
  return (await answer.bytes().catch(() => Buffer.alloc(0))).toString();
}

it('an upstream that breaks every part off after one event is not asked for ever', async () => {
  let n = 0;
  await using upstream = await scriptedUpstream(() =>
    sse({ events: [{ id: String(++n), data: '{"jsonrpc":"2.0","method":"notifications/x"}' }], end: 'cut' }),
  );
  await using proxy = await startSidecar(route(upstream.origin, 'mcp'));
  await listen(proxy.port);
  expect(upstream.requests.length).toBe(4);
  expect(new Set(upstream.requests.map((sent) => sent.header('authorization'))).size).toBe(1);
  expect(proxy.eventsNamed('attempt-ended').length).toBe(4);
});

it('a stream that said its length is not gone on with', async () => {
  const part = 'id: 1\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n';
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 500\r\n\r\n';
  await using upstream = await scriptedUpstream([respondRaw(`${head}${part}`), sse({ events: ['{}'] })]);
  await using proxy = await startSidecar(route(upstream.origin, 'mcp'));
  await listen(proxy.port);
  expect(upstream.requests.length).toBe(1);
});

it('an upstream that tells the same again is believed once', async () => {
  const event = (number: number, type: string, more: object): string =>
    JSON.stringify({ type, sequence_number: number, ...more });
  const created = event(0, 'response.created', { response: { id: 'r', background: true } });
  const delta = event(1, 'response.output_text.delta', { delta: 'x' });
  await using upstream = await scriptedUpstream(() =>
    sse({
      events: [
        { event: 'response.created', data: created },
        { event: 'response.output_text.delta', data: delta },
      ],
      end: 'cut',
    }),
  );
  await using proxy = await startSidecar(route(upstream.origin, 'openai'));
  await using client = await rawClient(proxy.port);
  const answer = await client.request({
    method: 'POST',
    path: '/api/v1/responses',
    body: '{"background":true}',
  });
  const text = (await answer.bytes()).toString();
  expect(text.split('output_text.delta"').length - 1).toBeLessThanOrEqual(2);
  expect(text).toContain('event: error');
  expect(upstream.requests.length).toBe(2);
});
