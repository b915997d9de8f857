/** Which connection and which stream a request went out on, of all that this process opens. */
import { channel } from 'node:diagnostics_channel';
import type { ClientHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { ConnectionWatch } from '../../src/transport/connection-watch.ts';

const sends = (alpnProtocol: string | false): void =>
  channel('undici:client:sendHeaders').publish({ socket: { alpnProtocol } as unknown as Socket });

const opensStream = (): void => channel('http2.client.stream.created').publish({ stream: {} });

function rig() {
  const watch = new ConnectionWatch();
  const [connections, streams] = [new Array<Socket>(), new Array<ClientHttp2Stream>()];
  watch.starting({
    onConnection: (socket) => connections.push(socket),
    onStream: (stream) => streams.push(stream),
  });
  return { connections, streams, [Symbol.dispose]: () => watch.dispose() };
}

it('a request over HTTP/2 gets the next stream, and none that comes later', () => {
  using seen = rig();
  sends('h2');
  opensStream();
  opensStream();
  expect([seen.connections.length, seen.streams.length]).toEqual([1, 1]);
});

it.each(['http/1.1', false] as const)(
  'a request over HTTP/1 (ALPN %s) gets no stream that somebody else opens, another sidecar or who runs it',
  (protocol) => {
    using seen = rig();
    sends(protocol);
    opensStream();
    expect([seen.connections.length, seen.streams.length]).toEqual([1, 0]);
  },
);
