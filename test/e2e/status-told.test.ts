/** The status that log and metrics tell is the one that went out. */
import { expect, test } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { closeBeforeResponse } from '../support/steps/cuts.ts';
import { stall } from '../support/steps/silence.ts';
import { stage } from './stage.ts';

const exchangeLine = ({ msg }: Readonly<Record<string, unknown>>): boolean => msg === 'exchange';
const call = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'pay' } });

test('a tool call of unknown outcome is told to MCP clients with 200, and that is what log and metrics say', async () => {
  await using s = await stage([closeBeforeResponse()], { api: 'dialect: mcp, policies: { retry: false }' });
  const answer = await s.send({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: call,
  });
  expect([answer.status, await answer.json()]).toMatchObject([200, { error: { code: -32010 } }]);
  const [line] = await s.sidecar.waitForLines(exchangeLine);
  const reason = answer.header('x-outrigger-code');
  expect(reason).toBeDefined();
  expect(line).toMatchObject({ level: 'warn', status: 200, outcome: 'error', success: false, reason });
  expect(await s.sidecar.metric('outrigger_requests_total', { code: '2xx', outcome: 'error' })).toBe(1);
  expect(await s.sidecar.metric('outrigger_requests_total', { code: '5xx' })).toBe(0);
});

test('a client that leaves before it is sent a status is told of with 499', async () => {
  await using s = await stage([stall()], { api: 'policies: { retry: false }' });
  await using client = await rawClient(s.port);
  client.request({ path: '/api/x' }).catch(() => undefined);
  await s.upstream.waitForRequest();
  client.destroy();
  const [line] = await s.sidecar.waitForLines(exchangeLine);
  expect(line).toMatchObject({ status: 499, outcome: 'aborted', reason: 'client_aborted' });
});
