/**
 * Attack: line breaks, written out or hidden in Unicode that is cut to a byte, which end a field early and begin one of
 * the attacker's (CVE-2018-12116, CVE-2022-35948, CVE-2023-23936, CVE-2026-1527).
 */
import { expect, test } from 'vitest';
import { request } from '../support/raw-client.ts';
import { respond, respondRaw } from '../support/steps/answers.ts';
import { stage } from '../e2e/stage.ts';
import { expectRefused, expectServing, head, sharedTarget } from './attack.ts';

const target = sharedTarget();

test.each([
  '/api/%0d%0aX-Injected:%201',
  '/api/x?a=%0D%0AX-Injected:%201',
  '/api/%00%0a',
  '/api/x%E5%98%8A%E5%98%8DX-Injected:1',
])('encoded line breaks stay encoded: %s', async (path) => {
  const on = target();
  expect((await request(on.port, { path })).status).toBe(200);
  const got = on.upstream.requests.at(-1);
  expect(got?.target).toBe(path.slice('/api'.length));
  expect(got?.header('x-injected')).toBeUndefined();
  await expectServing(on);
});

test.each([
  ['CR LF', head('GET /api/x\r\nX-Injected: 1 HTTP/1.1', 'Host: a')],
  ['LF', head('GET /api/x\nX-Injected: 1 HTTP/1.1', 'Host: a')],
  [
    'Unicode that ends in CR LF when cut to bytes',
    head('GET /api/x\u010d\u010aX-Injected:1 HTTP/1.1', 'Host: a'),
  ],
])('%s in the request line: refused', async (_, bytes) => {
  await expectRefused(target(), Buffer.from(bytes, 'utf8'));
});

test('a client’s id, agent and trace are written down only where they are what they claim', async () => {
  const on = target();
  const headers = { 'x-request-id': 'a\tb', traceparent: '00-1\t2', 'x-agent-id': 'a\tb' };
  const response = await request(on.port, { path: '/api/x', headers });
  expect(response.header('x-outrigger-request-id')).not.toContain('\t');
  expect(on.upstream.requests.at(-1)?.header('traceparent')).toMatch(/^00-[0-9a-f]{32}-/);
});

test('nothing of a request comes back in the head of a local answer', async () => {
  const on = target();
  const response = await request(on.port, {
    path: '/none/<script>"\\%0d%0a',
    headers: { 'x-evil': 'evil-value' },
  });
  expect(response.status).toBe(404);
  expect(JSON.stringify(response.rawHeaders)).not.toMatch(/script|evil/);
});

test('an upstream cannot split its answer in two by a bare CR or a NUL', async () => {
  for (const evil of ['a\rSet-Cookie: x=1', 'a\0Set-Cookie: x=1', 'a\nSet-Cookie: x=1']) {
    await using on = await stage(
      [respondRaw(`HTTP/1.1 200 OK\r\nX-A: ${evil}\r\nContent-Length: 0\r\n\r\n`), respond()],
      {
        api: 'policies: { retry: false }',
      },
    );
    const response = await on.send();
    expect([200, 502]).toContain(response.status);
    expect(response.headers('x-a').join()).not.toContain('x=1');
  }
});
