/** What a sidecar that stops still says to those who are there, and what it does not take on any more. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { apiAt, ownSidecar } from '../incidents/own-sidecar.ts';
import { closedPort } from '../support/dead-ports.ts';
import { rawClient, request, requestBytes } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { holdResponse } from '../support/steps/hold-response.ts';

describe('an answer that is under way when the sidecar stops', () => {
  it('says that its connection ends with it, and it does', async () => {
    const held = holdResponse(respond({ body: 'worth waiting for' }));
    await using upstream = await scriptedUpstream([held]);
    await using own = await ownSidecar(apiAt(upstream.origin));
    await using client = await rawClient(own.port);
    const answer = client.request({ path: '/api/x' });
    await held.waitForHeld();
    const stopped = own.sidecar.stop();
    held.release();
    expect((await answer).header('connection')).toBe('close');
    expect(await (await answer).text()).toBe('worth waiting for');
    expect(await client.waitForEnd()).toBe('fin');
    expect(await stopped).toEqual({ brokenOff: 0 });
  });

  it('says so on the last of pipelined answers, after all of them', async () => {
    const held = holdResponse(respond({ body: 'ok' }));
    await using upstream = await scriptedUpstream([held]);
    await using own = await ownSidecar(apiAt(upstream.origin));
    await using client = await rawClient(own.port);
    const answers = [client.response(), client.response(), client.response()];
    void client.send(Buffer.concat([1, 2, 3].map((n) => requestBytes({ path: `/api/${n}` }))));
    await held.waitForHeld(3);
    const stopped = own.sidecar.stop();
    held.release();
    const responses = await Promise.all(answers);
    expect(responses.map((response) => response.header('connection'))).toEqual([
      'keep-alive',
      'keep-alive',
      'close',
    ]);
    expect(await client.waitForEnd()).toBe('fin');
    expect(await stopped).toEqual({ brokenOff: 0 });
  });

  it('says so, too, when its upload is first wanted after that', async () => {
    await using closed = await closedPort();
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
    const endpoints = `[{ url: "http://127.0.0.1:${closed.port}" }, { url: "${upstream.origin}" }]`;
    const backoff = '{ kind: constant, initial: 1s, jitter: none }';
    await using own = await ownSidecar(
      `upstreams: { api: { route: /api, endpoints: ${endpoints}, policies: { retry: { backoff: ${backoff} } } } }`,
    );
    await using client = await rawClient(own.port);
    void client.send('POST /api/x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n');
    await own.until('retry-scheduled');
    const stopped = own.sidecar.stop();
    await own.clock.advance(1_000);
    expect(String(await client.nextBytes())).toContain('100 Continue');
    void client.send('hello');
    expect((await client.response('POST')).header('connection')).toBe('close');
    expect(await stopped).toEqual({ brokenOff: 0 });
  });

  it('comes although a ladder waits for an upload that does not', async () => {
    await using closed = await closedPort();
    const ladder = 'fallback: [{ upstream: b, rewrite: { body: { model: x } } }]';
    const origin = `http://127.0.0.1:${closed.port}`;
    await using own = await ownSidecar(
      `server: { drainTimeout: 1s }\n${apiAt(origin, `policies: { retry: false, ${ladder} }`, `b: { route: /b, endpoints: [{ url: "${origin}" }] }`)}`,
    );
    await using client = await rawClient(own.port);
    void client.send(
      `POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n${'x'.repeat(80_000)}`,
    );
    await own.until('attempt-ended');
    const stopped = own.sidecar.stop();
    const answer = client.response('POST');
    await own.clock.advance(1_000);
    expect((await answer).header('x-outrigger-code')).toBe('connection_refused');
    client.destroy();
    await stopped;
  });

  it('goes on to its end where it has begun', async () => {
    const stream = controlledStream();
    await using upstream = await scriptedUpstream([stream]);
    await using own = await ownSidecar(apiAt(upstream.origin));
    await using client = await rawClient(own.port);
    const answer = client.request({ path: '/api/x' });
    await stream.head();
    await stream.write('data: 1\n\n');
    await (await answer).waitForBytes(1);
    const stopped = own.sidecar.stop();
    await stream.write('data: 2\n\n');
    await stream.end();
    expect(await (await answer).text()).toBe('data: 1\n\ndata: 2\n\n');
    expect(await stopped).toEqual({ brokenOff: 0 });
  });
});

/** A port that was free a moment ago, for an address that the configuration must name. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

describe('a reload', () => {
  const another = (origin: string, port: number): string =>
    apiAt(origin, '', `more: { listen: "127.0.0.1:${port}", endpoints: [{ url: "${origin}" }] }`);

  it('is refused while the sidecar stops, and opens no port', async () => {
    const held = holdResponse(respond({ body: 'ok' }));
    await using upstream = await scriptedUpstream([held]);
    await using own = await ownSidecar(apiAt(upstream.origin));
    const answer = own.send();
    await held.waitForHeld();
    const stopped = own.sidecar.stop();
    const port = await freePort();
    const result = await own.edit(another(upstream.origin, port));
    expect(result).toMatchObject({ applied: false, changed: false, generation: 1 });
    expect(result.problems.map(({ message }) => message)).toEqual(['the sidecar is stopping']);
    const adminPort = own.sidecar.admin.address()?.port;
    const asked = await fetch(`http://127.0.0.1:${adminPort}/admin/reload`, { method: 'POST' });
    expect(asked.status).toBe(422);
    expect(await asked.text()).toContain('the sidecar is stopping');
    expect(own.events.of('config-rejected')).toHaveLength(2);
    await expect(request(port)).rejects.toThrow('ECONNREFUSED');
    held.release();
    expect((await answer).status).toBe(200);
    await stopped;
    await expect(request(port)).rejects.toThrow('ECONNREFUSED');
  });

  it('that is under way when the sidecar is told to stop leaves no port open either', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    await using own = await ownSidecar(apiAt(upstream.origin));
    const port = await freePort();
    const reloading = own.edit(another(upstream.origin, port));
    await own.sidecar.stop();
    expect(await reloading).toMatchObject({ applied: false });
    await expect(request(port)).rejects.toThrow('ECONNREFUSED');
  });
});
