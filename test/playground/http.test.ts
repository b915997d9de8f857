import { once } from 'node:events';
import { Agent, get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { chatBody, eventually, playgroundWith, postChat } from './fixture.ts';

const post = (url: string, body: string | Uint8Array<ArrayBuffer>): Promise<Response> =>
  fetch(url, { method: 'POST', body });

describe('the playground on the wire', () => {
  it('says what it is, and is healthy', async () => {
    const { url } = (await playgroundWith()).address;
    expect(await (await fetch(url)).json()).toMatchObject({
      name: 'Outrigger playground',
      endpoints: expect.arrayContaining(['POST /v1/chat/completions', 'GET /health']) as string[],
    });
    expect(await (await fetch(`${url}/health?full=1`)).json()).toEqual({ status: 'ok' });
    expect((await fetch(`${url}/health`, { method: 'HEAD' })).status).toBe(200);
  });

  it('stamps its answers as a provider does, each with its own id', async () => {
    const playground = await playgroundWith();
    const json = await postChat(playground);
    const stream = await postChat(playground, { stream: true });
    expect(json.headers.get('content-type')).toBe('application/json');
    expect(stream.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    for (const { headers } of [json, stream]) {
      expect(headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{16}$/);
      expect(headers.get('openai-processing-ms')).toMatch(/^\d+$/);
    }
    expect(json.headers.get('x-request-id')).not.toBe(stream.headers.get('x-request-id'));
    expect(await stream.text()).toMatch(/\n\ndata: \[DONE\]\n\n$/);
  });

  it('refuses unknown paths and wrong methods in the shape of the provider', async () => {
    const playground = await playgroundWith();
    const { url } = playground.address;
    const unknown = await post(`${url}/v1/images`, '{}');
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({
      error: { type: 'invalid_request_error', code: 'unknown_url' },
    });
    const wrong = await fetch(`${url}/v1/chat/completions`);
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
    expect((await post(`${url}/health`, '{}')).status).toBe(405);
    expect((await fetch(`${url}/toString`)).status).toBe(404);
  });

  it.each([
    ['text that is no JSON', '{"model":', 'invalid_json', null],
    ['JSON that is no object', '[]', null, null],
    ['a request without messages', '{"model":"m"}', null, 'messages'],
    ['a limit below one', JSON.stringify({ ...chatBody, max_tokens: 0 }), null, 'max_tokens'],
  ])('refuses %s with 400, even where faults are certain', async (_what, body, code, param) => {
    const playground = await playgroundWith({ faults: { resetRatio: 1 } });
    const response = await post(`${playground.address.url}/v1/chat/completions`, body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error', code, param } });
    await eventually(() => {
      expect(playground.stats()).toMatchObject({ open: 0, endings: { refused: 1 }, faults: { reset: 0 } });
    });
  });

  it('refuses a body above 20 MiB with 413, announced or not', async () => {
    const playground = await playgroundWith();
    const url = `${playground.address.url}/v1/chat/completions`;
    const announced = await post(url, Buffer.alloc(20 * 1024 ** 2 + 1, ' '));
    const chunked = await fetch(url, { method: 'POST', body: megabytes(21), duplex: 'half' });
    for (const response of [announced, chunked]) {
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject({ error: { code: 'request_too_large' } });
    }
  });

  it('takes a body of just under 20 MiB', async () => {
    const response = await postChat(await playgroundWith(), {
      messages: [{ role: 'user', content: 'x'.repeat(20 * 1024 ** 2 - 1024) }],
    });
    expect(response.status).toBe(200);
  });

  it('keeps a connection for the next request', async () => {
    const playground = await playgroundWith();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => {
      agent.destroy();
    });
    const reused: boolean[] = [];
    for (let i = 0; i < 3; i++) {
      const request = get(`${playground.address.url}/v1/models`, { agent });
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      await text(response);
      reused.push(request.reusedSocket);
    }
    expect(reused).toEqual([false, true, true]);
    expect(playground.stats()).toMatchObject({ connections: 1, endings: { answered: 3 } });
  });

  it('counts pipelined requests that never had their turn as abandoned', async () => {
    const playground = await playgroundWith();
    const body = JSON.stringify(chatBody);
    const request = (fault: string): string =>
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-playground-fault: ${fault}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const socket = connect(playground.address.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(request('stall') + request('none') + request('stall'));
    await eventually(() => {
      expect(playground.stats()).toMatchObject({ open: 3, faults: { stall: 2 } });
    });
    socket.destroy();
    await eventually(() => {
      expect(playground.stats()).toMatchObject({ open: 0, connections: 0, endings: { abandoned: 3 } });
    });
  });
});

async function* megabytes(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield Buffer.alloc(1024 ** 2, ' ');
}
