/** Where a request goes, and with which target: byte for byte what came in after the prefix, or not at all. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { rawClient, request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond, respondWith } from '../support/steps/answers.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { stage } from './stage.ts';

const ODD_TARGETS = [
  '/',
  '/?',
  '/a?',
  '/a?b=c?d',
  '//double//slash',
  '/a/../b',
  '/./a/.',
  '/%2e%2e/%2E',
  '/%zz/%',
  '/a%00b',
  '/a;v=1/b,c',
  '/it\'s?q="x"',
  '/back\\slash',
  '/{braces}|pipe^',
  '/a#fragment?not-a-query',
  `/${'x'.repeat(8_000)}`,
  '/http://elsewhere/x',
  '/@host:80/',
];

test('odd targets reach the upstream byte for byte', async () => {
  await using on = await stage([respond()]);
  for (const path of ODD_TARGETS) expect((await on.send({ path })).status, path).toBe(200);
  expect(on.upstream.requests.map(({ target }) => target)).toEqual(ODD_TARGETS);
});

test.each(['/caf\u00e9', Buffer.from('/日本').toString('latin1'), '/\u0080'])(
  'bytes that no target may have (%j) are a 400, as RFC 3986 has it',
  async (path) => {
    await using on = await stage([respond()]);
    const response = await on.send({ path });
    expect(response.status).toBe(400);
    expect(response.header('x-outrigger-code')).toBe('bad_request');
    expect(on.upstream.requests).toEqual([]);
  },
);

test('a target in absolute form is taken for its path; the host in it decides nothing', async () => {
  await using on = await stage([respond()]);
  for (const path of ['http://elsewhere.example/api/a?b', 'HTTPS://x:1/api/a?b']) {
    expect((await request(on.port, { path })).status).toBe(200);
  }
  expect(on.upstream.requests.map(({ target }) => target)).toEqual(['/a?b', '/a?b']);
});

test.each([
  ['*', 'OPTIONS'],
  ['ftp://x/api', 'GET'],
  ['api/a', 'GET'],
])('%s is no path: 400', async (path, method) => {
  await using on = await stage([respond()]);
  const response = await request(on.port, { path, method });
  expect(response.status).toBe(400);
  expect(on.upstream.requests).toEqual([]);
});

test('every method that HTTP knows gets through', async () => {
  await using on = await stage([respond()]);
  const methods = [
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'QUERY',
    'PROPFIND',
    'TRACE',
    'MKCOL',
  ];
  for (const method of methods) expect((await on.send({ method })).status, method).toBe(200);
  expect(on.upstream.requests.map(({ method }) => method)).toEqual(methods);
});

describe('a base path', () => {
  const based = (origin: string): string =>
    `based: { route: /based, endpoints: [{ url: "${origin}/base/v1" }] }`;

  test('is put before the target', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    await using sidecar = await startSidecar(`upstreams: { ${based(upstream.origin)} }`);
    const targets = ['/a', '/', '/a//b?c=../d', '/a..b/...', '/%2e%2ex/.well-known'];
    for (const target of targets) {
      expect((await request(sidecar.port, { path: `/based${target}` })).status, target).toBe(200);
    }
    expect(upstream.requests.map(({ target }) => target)).toEqual(targets.map((one) => `/base/v1${one}`));
  });

  test('cannot be left by dot segments, however they are written', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    await using sidecar = await startSidecar(`upstreams: { ${based(upstream.origin)} }`);
    const climbing = [
      '/../x',
      '/a/..',
      '/%2e%2e/x',
      '/.%2E/x',
      '/a/..?q',
      '/..\\x',
      '/a\\..\\x',
      '/..%2fx',
      '/..%5cx',
      '/..;/x',
      '/..#x',
      '/./x',
    ];
    for (const path of climbing) {
      const response = await request(sidecar.port, { path: `/based${path}` });
      expect(response.status, path).toBe(400);
      expect(response.header('x-outrigger-code')).toBe('bad_request');
    }
    expect(upstream.requests).toEqual([]);
    expect(await sidecar.metric('outrigger_requests_total', { code: '4xx' })).toBe(climbing.length);
  });
});

describe('routes', () => {
  const tellRoute = respondWith(({ target }) => ({ body: target }));

  test('the longest prefix wins, and ends where a segment ends', async () => {
    await using upstream = await scriptedUpstream([tellRoute]);
    const at = (name: string): string =>
      `{ route: ${name}, endpoints: [{ url: "${upstream.origin}/${name.replaceAll('/', '_')}" }] }`;
    await using sidecar = await startSidecar(
      `upstreams: { a: ${at('/a')}, ab: ${at('/a/b')}, rest: ${at('/')} }`,
    );
    const cases = [
      ['/a', '/_a/'],
      ['/a?q', '/_a/?q'],
      ['/a/', '/_a/'],
      ['/a/x', '/_a/x'],
      ['/a/b', '/_a_b/'],
      ['/a/b/c', '/_a_b/c'],
      ['/a/bc', '/_a/bc'],
      ['/ab', '/_/ab'],
      ['/A/x', '/_/A/x'],
      ['/%61/x', '/_/%61/x'],
    ];
    for (const [path = '', target] of cases) {
      expect(await (await request(sidecar.port, { path })).text(), path).toBe(target);
    }
  });

  test('a path without one is a 404 that says so', async () => {
    await using on = await stage([respond()]);
    const response = await request(on.port, { path: '/elsewhere', headers: { accept: 'text/html' } });
    expect(response.status).toBe(404);
    expect(response.header('content-type')).toBe('application/problem+json');
    expect(response.header('x-outrigger-code')).toBe('no_route');
    expect(response.header('proxy-status')).toMatch(/^outrigger-[0-9a-f]+; error=destination_not_found/);
    expect(await response.json()).toMatchObject({ status: 404, code: 'no_route' });
  });

  test('an upstream’s own listener takes every path, without a prefix', async () => {
    await using upstream = await scriptedUpstream([tellRoute]);
    const own = `own: { listen: "127.0.0.1:0", endpoints: [{ url: "${upstream.origin}" }] }`;
    await using sidecar = await startSidecar(`upstreams: { ${own} }`);
    const port = sidecar.sidecar.dataPlane.address('own')?.port ?? 0;
    expect(await (await request(port, { path: '/any/path?x' })).text()).toBe('/any/path?x');
    expect((await request(sidecar.port, { path: '/any/path' })).status).toBe(404);
  });

  test('requests of one connection may go to different upstreams', async () => {
    await using upstream = await scriptedUpstream([tellRoute]);
    const at = (name: string): string =>
      `${name}: { route: /${name}, endpoints: [{ url: "${upstream.origin}/${name}" }] }`;
    await using sidecar = await startSidecar(`upstreams: { ${at('one')}, ${at('two')} }`);
    await using client = await rawClient(sidecar.port);
    for (const name of ['one', 'two', 'one']) {
      expect(await (await client.request({ path: `/${name}/x` })).text()).toBe(`/${name}/x`);
    }
  });
});

/** Passes bytes on to a port that is known later: how else could a sidecar be its own upstream. */
async function relay(): Promise<{ port: number; target: number } & AsyncDisposable> {
  const to = { port: 0, target: 0 };
  const server = createServer((socket) => {
    const onwards = connect(to.target, '127.0.0.1');
    pipeline(socket, onwards, socket, () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  to.port = (server.address() as AddressInfo).port;
  return Object.assign(to, {
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  });
}

describe('a loop', () => {
  const onward = (port: number): string =>
    `onward: { route: /onward, endpoints: [{ url: "http://127.0.0.1:${port}" }], policies: { retry: false } }`;
  const path = `/onward${'/onward'.repeat(20)}/x`;

  test('of a sidecar that is its own upstream ends at the second time round', async () => {
    await using back = await relay();
    await using on = await stage([respond()], { others: [onward(back.port)] });
    back.target = on.port;
    const response = await request(on.port, { path });
    expect(response.status).toBe(502);
    expect(response.header('x-outrigger-code')).toBe('loop_detected');
    expect(response.header('proxy-status')).toContain('; error=proxy_loop_detected');
    expect(on.sidecar.eventsNamed('exchange-started')).toHaveLength(1);
    expect(await on.sidecar.metric('outrigger_requests_refused_total', { reason: 'loop_detected' })).toBe(1);
  });

  test('over two sidecars ends at the one that was there before', async () => {
    await using back = await relay();
    await using far = await stage([respond()], { others: [onward(back.port)] });
    await using near = await stage([respond()], { others: [onward(far.port)] });
    back.target = near.port;
    const response = await request(near.port, { path });
    expect(response.status).toBe(502);
    expect(response.header('x-outrigger-code')).toBe('loop_detected');
    expect(near.sidecar.eventsNamed('exchange-started')).toHaveLength(1);
    expect(far.sidecar.eventsNamed('exchange-started')).toHaveLength(1);
  });

  test('is none where a chain of different sidecars ends at an upstream', async () => {
    await using far = await stage([respond({ body: 'end' })]);
    await using near = await stage([respond()], {
      others: [`far: { route: /far, endpoints: [{ url: "http://127.0.0.1:${far.port}" }] }`],
    });
    expect(await (await request(near.port, { path: '/far/api/x' })).text()).toBe('end');
    expect(far.upstream.requests[0]?.headers('via')).toHaveLength(2);
  });
});
