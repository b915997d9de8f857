/**
 * Attack: a Host field that two servers read differently, or none, so that the request is routed, cached or checked for
 * one host and served by another. Node's own parser lets all of these pass but the missing one.
 */
import { expect, test } from 'vitest';
import { request } from '../support/raw-client.ts';
import { expectRefused, head, sharedTarget } from './attack.ts';

const target = sharedTarget();
const get = (...fields: readonly string[]): string => head('GET /api/x HTTP/1.1', ...fields);

test.each([
  ['no Host', get('X-None: 1')],
  ['two Hosts', get('Host: a', 'Host: b')],
  ['the same Host twice', get('Host: a', 'HOST: a')],
  ['a Host with a space', get('Host: a b')],
  ['a Host with a tab', get('Host: a\tb')],
  ['a Host with a path', get('Host: a/b')],
  ['a Host with a backslash', get('Host: a\\b')],
  ['a Host with credentials', get('Host: user@a')],
  ['a Host with a query', get('Host: a?b')],
  ['a list of Hosts', get('Host: a, b')],
  ['a version that is not ours', head('GET /api/x HTTP/2.0', 'Host: a')],
  ['a version that is none', head('GET /api/x HTTP/1.9', 'Host: a')],
  ['no version', 'GET /api/x\r\n\r\n'],
])('%s: refused', async (_, bytes) => {
  await expectRefused(target(), bytes);
});

test('the Host decides nothing: only the path routes', async () => {
  for (const host of ['', 'localhost', '[::1]:8080', 'internal.example', '169.254.169.254']) {
    const response = await request(target().port, { path: '/api/x', headers: { host } });
    expect(response.status).toBe(200);
    const got = target().upstream.requests.at(-1);
    expect(got?.headers('host')).toEqual([`127.0.0.1:${target().upstream.port}`]);
  }
});
