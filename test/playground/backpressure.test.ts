import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { PlaygroundExchange } from '../../src/playground/exchange.ts';
import { sendEvents } from '../../src/playground/write.ts';
import { eventually } from './fixture.ts';

const FRAMES = 1_000;
/** Sixteen megabytes in all: several times what the system's socket buffers hold. */
const FRAME = `data: ${'x'.repeat(16 * 1024)}\n\n`;

interface Watched {
  readonly client: Socket;
  /** Frames made so far. */
  readonly made: () => number;
  readonly exchange: PlaygroundExchange;
  readonly sent: Promise<void>;
}

/** Streams frames to a client that does not read yet, and counts those that are made. */
async function streamToLazyClient(): Promise<Watched> {
  let made = 0;
  const script = {
    opening: '',
    tokens: Array<string>(FRAMES).fill(''),
    delta: () => ((made += 1), FRAME),
    closing: 'data: end\n\n',
  };
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => void client.destroy());
  client.pause();
  client.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  const [request, response] = (await once(server, 'request')) as Parameters<typeof makeExchange>;
  const exchange = makeExchange(request, response);
  const sent = sendEvents(exchange, script, { clock: systemClock, intervalMs: 0, cut: false });
  return { client, made: () => made, exchange, sent };
}

const makeExchange = (
  request: PlaygroundExchange['request'],
  response: PlaygroundExchange['response'],
): PlaygroundExchange => new PlaygroundExchange({ request, response }, { id: '1', arrivedAt: 0 }, () => {});

describe('a stream to a client that does not read', () => {
  it('makes no more events than fit, and goes on when the client reads', async () => {
    const { client, made, exchange, sent } = await streamToLazyClient();
    await eventually(() => {
      expect(exchange.response.listenerCount('drain')).toBe(1);
    });
    expect(made()).toBeLessThan(FRAMES);
    expect(exchange.response.writableLength).toBeLessThan(1024 ** 2);
    expect(await text(client)).toContain('data: end');
    await sent;
    expect(made()).toBe(FRAMES);
  });

  it('ends when the client leaves, and leaves no listener', async () => {
    const { client, made, exchange, sent } = await streamToLazyClient();
    await eventually(() => {
      expect(exchange.response.listenerCount('drain')).toBe(1);
    });
    client.destroy();
    await sent;
    expect(made()).toBeLessThan(FRAMES);
    expect(exchange.response.listenerCount('drain')).toBe(0);
    expect(exchange.cancellation.listenerCount).toBe(0);
  });
});
