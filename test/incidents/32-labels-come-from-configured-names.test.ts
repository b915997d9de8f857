/**
 * Paths, and model names with typos in them, became label values; every new one was a new series, and the process grew
 * until it was killed. What clients send never makes a series here.
 */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { respond } from '../support/steps/answers.ts';
import { rawClient, type RequestInit } from '../support/raw-client.ts';
import { stage } from '../e2e/stage.ts';

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND', 'REPORT', 'SEARCH'];

function anyRequest(n: number, prefix: string): RequestInit {
  const word = randomBytes(6).toString('hex');
  const method = METHODS[n % METHODS.length] ?? 'GET';
  const headers = { host: `${word}.test`, 'user-agent': word, 'x-agent-id': word, 'x-request-id': word };
  const body = method === 'POST' ? { body: `{"model":"gpt-${word}"}` } : {};
  return { method, path: `${prefix}/${word}?model=${word}`, headers, ...body };
}

it('requests with paths, methods, hosts, agents and models of all kinds add no series', async () => {
  await using on = await stage([respond({ body: 'ok' })]);
  await using client = await rawClient(on.port);
  const send = async (n: number, prefix: string): Promise<void> => {
    await (await client.request(anyRequest(n, prefix))).text();
  };
  const series = async (): Promise<string[]> =>
    (await on.sidecar.sidecar.metrics.text())
      .split('\n')
      .filter((line) => line.startsWith('outrigger_'))
      .map((line) => line.slice(0, line.lastIndexOf(' ')));

  await send(0, '/api');
  await send(0, '/elsewhere');
  await on.sidecar.waitForEvent('exchange-ended');
  const before = await series();
  for (let n = 1; n <= 200; n++) await send(n, n % 4 === 0 ? '/elsewhere' : '/api');
  await on.sidecar.waitForEvent('exchange-ended', 151);
  expect(await series()).toEqual(before);
});
