/**
 * Tool calls executed twice: a proxy repeated a POST whose answer had been lost. A tool is called again only where the
 * call provably was not begun, or where it was declared that calling it twice does no harm; otherwise the caller is told
 * that nobody knows.
 */
import { expect, it } from 'vitest';
import { toolServer } from '../clients/tool-server.ts';
import type { Fault } from '../clients/tool-server.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { closeBeforeResponse, closeMidHead, cutMidBody, resetBeforeResponse } from '../support/steps/cuts.ts';
import { sse } from '../support/steps/event-stream.ts';
import { ownSidecar } from './own-sidecar.ts';
import type { OwnSidecar } from './own-sidecar.ts';

const configFor = (origin: string, more = ''): string => `
upstreams:
  api:
    route: /api
    preset: mcp
    endpoints: [{ url: "${origin}" }]
    policies: { retry: { backoff: { initial: 0s, max: 0s }, budget: false }, circuitBreaker: false }
    ${more}
`;

const brokenAfterTheRun: readonly Fault[] = [
  () => closeBeforeResponse(),
  () => resetBeforeResponse(),
  () => closeMidHead(),
  () => cutMidBody({ contentType: 'application/json' }),
  () => respondJson({}),
  () => sse({ events: [], end: 'cut' }),
  () => respond({ status: 502 }),
];

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** The stateless form: one POST is a whole call. */
async function call(own: OwnSidecar, id: number, name = 'send'): Promise<{ status: number; json: unknown }> {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name, arguments: {}, _meta: META },
  });
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': name,
  };
  const response = await own.send({ method: 'POST', path: '/api/mcp', headers, body });
  const text = await response.text();
  return { status: response.status, json: text.startsWith('{') ? JSON.parse(text) : text };
}

it('of fifty calls whose answers keep getting lost, no tool runs twice', async () => {
  const faults = Array.from({ length: 50 }, (_, n) => brokenAfterTheRun[n % brokenAfterTheRun.length]!);
  await using server = await toolServer(faults);
  await using own = await ownSidecar(configFor(server.origin));
  for (let id = 1; id <= 50; id++) {
    const { status, json } = await call(own, id);
    if (status === 502) continue;
    expect(json).toMatchObject({
      id,
      error: { code: -32010, data: { code: 'outcome_unknown', tool: 'send' } },
    });
  }
  expect(server.runs).toHaveLength(50);
  expect(own.events.of('retry-scheduled')).toEqual([]);
});

it('a declared tool is called again until it answers', async () => {
  await using server = await toolServer([() => closeMidHead(), () => respondJson({})]);
  await using own = await ownSidecar(configFor(server.origin, 'mcp: { idempotentTools: [send] }'));
  expect((await call(own, 1)).json).toMatchObject({ id: 1, result: { content: [{ text: 'send ran' }] } });
  expect(server.runs).toHaveLength(3);
});

it('what was learnt of a tool outlives a reload, and no change of address', async () => {
  await using server = await toolServer();
  const trusting = configFor(server.origin, 'mcp: { trustAnnotations: true }');
  await using own = await ownSidecar(trusting);
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: META } };
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/list',
  };
  const listed = await own.send({ method: 'POST', path: '/api/mcp', headers, body: JSON.stringify(list) });
  expect(await listed.text()).toContain('readOnlyHint');
  const repeatOf = (): string | undefined => {
    const { dialect } = own.sidecar.supervisor.runtime.upstreams.get('api')!.identity;
    const head = { method: 'POST', target: '/mcp', headers: [], host: '' };
    return dialect.readCall?.(head, () => ({ id: 1, method: 'tools/call', params: { name: 'search_web' } }))
      .repeat;
  };
  expect(repeatOf()).toBe('safe');
  await own.edit(`${trusting}    replayLimit: 1MiB\n`);
  expect(repeatOf()).toBe('safe');
  await own.edit(configFor('http://127.0.0.1:9', 'mcp: { trustAnnotations: true }'));
  expect(repeatOf()).toBe('unsafe');
});
