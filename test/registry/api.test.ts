import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import { systemClock } from '../../src/core/clock.ts';
import { RegistryClient } from '../../src/registry/client.ts';
import { LocalRegistrar } from '../../src/registry/local-registrar.ts';
import { HttpClient } from '../../src/transport/http-client.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { pathOf, registryWith } from './fixture.ts';

const URL_A = 'http://127.0.0.1:9000';

describe('registering', () => {
  it('answers 201, then 200, with a TTL and an interval that differs each time', async () => {
    const { ask } = await registryWith();
    const first = await ask('PUT', pathOf('a'), { body: { url: URL_A } });
    const again = await ask('PUT', pathOf('a'), { body: { url: URL_A, ttlMs: 9_000 } });
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(first.json).toMatchObject({ service: 'search', id: 'a', status: 'up', ttlMs: 30_000 });
    expect(first.json['heartbeatMs']).toBeGreaterThanOrEqual(9_000);
    expect(first.json['heartbeatMs']).toBeLessThanOrEqual(10_000);
    expect(again.json['heartbeatMs']).toBeLessThanOrEqual(3_000);
  });

  it.each([
    [{}, 'body.url', 'nothing'],
    [{ url: 'ftp://x' }, 'body.url', '"ftp://x"'],
    [{ url: 'http://me:secret@x' }, 'body.url', '"http://…@x"'],
    [{ url: 'http://x/?q=1' }, 'body.url', '"http://x/?q=1"'],
    [{ url: URL_A, weight: -1 }, 'body.weight', '-1'],
    [{ url: URL_A, weight: '1' }, 'body.weight', '"1"'],
    [{ url: URL_A, priority: 1.5 }, 'body.priority', '1.5'],
    [{ url: URL_A, status: 'fine' }, 'body.status', '"fine"'],
    [{ url: URL_A, ttlMs: 5 }, 'body.ttlMs', '5'],
    [{ url: URL_A, zone: '' }, 'body.zone', '""'],
    [{ url: URL_A, metadata: { a: 1 } }, 'body.metadata.a', '1'],
    [{ url: URL_A, metadata: { a: 'x'.repeat(5_000) } }, 'body.metadata', '5008'],
    [{ url: URL_A, wieght: 1 }, 'body', '"wieght"'],
    [[], 'body', '[]'],
    ['{', 'body', 'something else'],
  ])('tells of %j where it is wrong, what it expected and what it got', async (body, where, got) => {
    const { ask } = await registryWith();
    const { status, json, headers } = await ask('PUT', pathOf('a'), { body });
    expect(headers['content-type']).toBe('application/problem+json');
    expect({ status, ...json }).toMatchObject({ status: 400, code: 'invalid_request', where, got });
    expect(json['expected']).toBeTypeOf('string');
  });

  it('refuses names that are none, other media types, bodies beyond the bound, and whoever does not fit', async () => {
    const { ask } = await registryWith({ maxInstances: 1 });
    const body = { url: URL_A };
    expect((await ask('PUT', pathOf('%2F'), { body })).json).toMatchObject({ where: 'id' });
    expect((await ask('PUT', '/v1/services/-x/instances/a', { body })).json).toMatchObject({
      where: 'service',
    });
    expect((await ask('PUT', pathOf('%ff'), { body })).json).toMatchObject({ where: 'path' });
    const form = { 'content-type': 'text/plain' };
    expect((await ask('PUT', pathOf('a'), { body, headers: form })).status).toBe(415);
    expect((await ask('PUT', pathOf('a'), { body: 'x'.repeat(20_000) })).status).toBe(413);
    await ask('PUT', pathOf('a'), { body });
    const full = await ask('PUT', pathOf('b'), { body });
    expect([full.status, full.json['code'], full.headers['retry-after']]).toEqual([
      503,
      'registry_full',
      '5',
    ]);
  });

  it('of many at once keeps every one of them once', async () => {
    const { ask, host } = await registryWith();
    const ids = Array.from({ length: 60 }, (_, at) => `i-${at % 20}`);
    const answers = await Promise.all(ids.map((id) => ask('PUT', pathOf(id), { body: { url: URL_A } })));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(20);
    expect(host.catalog.size).toBe(20);
  });
});

describe('heartbeats', () => {
  it('change status and weight, and tell an unknown instance to register', async () => {
    const { ask } = await registryWith();
    expect((await ask('POST', `${pathOf('a')}/heartbeat`)).json).toMatchObject({ code: 'no_such_instance' });
    await ask('PUT', pathOf('a'), { body: { url: URL_A } });
    expect((await ask('POST', `${pathOf('a')}/heartbeat`)).json).toMatchObject({ status: 'up' });
    const body = { status: 'degraded', weight: 0 };
    expect((await ask('POST', `${pathOf('a')}/heartbeat`, { body })).json).toMatchObject({
      status: 'degraded',
    });
    expect((await ask('GET', pathOf('a'))).json).toMatchObject({ ...body, here: true, expired: false });
    const wrong = await ask('POST', `${pathOf('a')}/heartbeat`, { body: { url: URL_A } });
    expect(wrong.json).toMatchObject({ where: 'body', expected: 'only status, weight' });
    expect((await ask('DELETE', pathOf('a'))).status).toBe(204);
    expect((await ask('DELETE', pathOf('a'))).status).toBe(404);
  });

  it('that do not come let the instance go down within a sweep', async () => {
    const clock = new FakeClock();
    const { ask, events } = await registryWith({ sweepInterval: '5s' }, { clock });
    await ask('PUT', pathOf('a'), { body: { url: URL_A } });
    await clock.advance(30_000 - 1);
    expect((await ask('GET', pathOf('a'))).json).toMatchObject({ status: 'up', expiresInMs: 1 });
    await clock.advance(5_001);
    expect((await ask('GET', pathOf('a'))).json).toMatchObject({ status: 'down', expired: true });
    expect(events.of('instance-expired')).toHaveLength(1);
  });
});

describe('lists', () => {
  it('of 1,000 instances come whole, or page by page with nobody left out', async () => {
    const { ask, host } = await registryWith();
    const registrar = new LocalRegistrar(host.catalog, seededRandom(1));
    for (let at = 0; at < 1_000; at++)
      await registrar.register({ service: at % 2 ? 'odd' : 'even', id: `i-${at}`, url: URL_A });
    const whole = await ask('GET', '/v1/instances');
    expect(whole.json['instances']).toHaveLength(1_000);
    expect(whole.json['next']).toBeUndefined();
    const seen: string[] = [];
    let next: unknown = '';
    while (next !== undefined) {
      const after = next === '' ? '' : `&after=${encodeURIComponent(next as string)}`;
      const { json } = await ask('GET', `/v1/instances?limit=300${after}`);
      seen.push(...(json['instances'] as { id: string }[]).map(({ id }) => id));
      next = json['next'];
    }
    expect(new Set(seen).size).toBe(1_000);
    expect(seen).toHaveLength(1_000);
    const odd = await ask('GET', '/v1/services/odd/instances');
    expect(odd.json['instances']).toHaveLength(500);
  });

  it('choose by status, health, zone and metadata', async () => {
    const { ask } = await registryWith();
    const put = (id: string, more: object) => ask('PUT', pathOf(id), { body: { url: URL_A, ...more } });
    await put('a', { zone: 'x', metadata: { tool: 'web', size: 's' } });
    await put('b', { zone: 'y', metadata: { tool: 'web' }, status: 'degraded' });
    await put('c', { zone: 'x', status: 'down' });
    const ids = async (query: string) => {
      const { json } = await ask('GET', `/v1/services/search/instances?${query}`);
      return (json['instances'] as { id: string }[] | undefined)?.map(({ id }) => id) ?? json['where'];
    };
    expect(await ids('')).toEqual(['a', 'b', 'c']);
    expect(await ids('status=up,down')).toEqual(['a', 'c']);
    expect(await ids('healthy=true')).toEqual(['a', 'b']);
    expect(await ids('healthy=false')).toEqual(['c']);
    expect(await ids('zone=x&healthy=true')).toEqual(['a']);
    expect(await ids('metadata.tool=web&metadata.size=s')).toEqual(['a']);
    expect(await ids('metadata.constructor=x')).toEqual([]);
    expect(await ids('limit=0')).toBe('query.limit');
    expect(await ids('status=fine')).toBe('query.status');
    expect(await ids('healthy=1')).toBe('query.healthy');
    expect(await ids('tool=web')).toBe('query.tool');
    expect((await ask('GET', '/v1/services/nobody/instances')).json).toMatchObject({ instances: [] });
    expect((await ask('GET', '/v1/services')).json).toMatchObject({
      services: [{ service: 'search', instances: 3, byStatus: { up: 1, degraded: 1, down: 1 } }],
    });
    expect((await ask('GET', '/v1/services/nobody')).status).toBe(404);
  });
});

describe('who may ask', () => {
  it('without a token: nobody under another name, and no page in a browser', async () => {
    const { ask, port } = await registryWith();
    const from = async (headers: Record<string, string>) =>
      (await ask('GET', '/v1/services', { headers })).json['code'];
    expect(await from({ host: 'evil.example' })).toBe('host_not_allowed');
    expect(await from({ host: `localhost:${port}` })).toBeUndefined();
    expect(await from({ origin: 'http://evil.example' })).toBe('origin_not_allowed');
  });

  it('with a token: only who bears it, whatever the path but /health', async () => {
    const { ask } = await registryWith({ token: 'long enough'.replace(' ', '-') });
    const from = async (authorization?: string) =>
      (await ask('GET', '/v1/services', { headers: authorization === undefined ? {} : { authorization } }))
        .status;
    expect([await from(), await from('Bearer nonsense'), await from('Bearer long-enough')]).toEqual([
      401, 401, 200,
    ]);
    expect((await ask('GET', '/v1/watch')).status).toBe(401);
    expect((await ask('GET', '/health')).status).toBe(200);
  });

  it('learns which paths and methods there are', async () => {
    const { ask } = await registryWith();
    const wrong = await ask('PATCH', pathOf('a'));
    expect([wrong.status, wrong.headers['allow']]).toEqual([405, 'GET, PUT, DELETE']);
    expect((await ask('GET', '/v2')).json).toMatchObject({ code: 'no_such_route' });
    expect((await ask('POST', '/v1/watch')).status).toBe(405);
  });
});

describe('the registry', () => {
  it('goes on after clients that break off in the middle or talk nonsense', async () => {
    const { ask, port } = await registryWith();
    for (const text of [
      `PUT ${pathOf('a')} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{`,
      'nonsense\r\n\r\n',
    ])
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(text, () => socket.destroy()));
        socket.on('error', () => undefined).on('close', () => resolve());
      });
    expect((await ask('GET', '/health')).status).toBe(200);
  });

  it('rejects an address that is not free', async () => {
    const { port } = await registryWith();
    await expect(registryWith({ listen: `127.0.0.1:${port}` })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port} (registry.listen): the address is in use`,
    );
  });
});

describe('the client', () => {
  it('registers, beats, is told to register anew, and deregisters', async () => {
    const { port, host } = await registryWith({ token: 'long-enough' });
    const http = new HttpClient({ clock: systemClock });
    try {
      const client = new RegistryClient({ url: `http://127.0.0.1:${port}/`, token: 'long-enough' }, http);
      expect(await client.heartbeat('search', 'a')).toBe('unknown');
      const lease = await client.register({ service: 'search', id: 'a', url: URL_A, metadata: { t: '1' } });
      expect(lease.ttlMs).toBe(30_000);
      expect(await client.heartbeat('search', 'a', { status: 'stopping' })).toMatchObject({ ttlMs: 30_000 });
      expect(host.catalog.instancesOf('search')).toMatchObject([{ status: 'stopping' }]);
      expect([await client.deregister('search', 'a'), await client.deregister('search', 'a')]).toEqual([
        true,
        false,
      ]);
      await expect(client.register({ service: 'search', id: 'a', url: 'x' })).rejects.toThrow(
        /^the registry answered 400: body\.url: expected/,
      );
      const other = new RegistryClient({ url: `http://127.0.0.1:${port}`, token: 'wrong-token' }, http);
      await expect(other.heartbeat('search', 'a')).rejects.toMatchObject({ status: 401 });
    } finally {
      http.dispose();
    }
  });
});
