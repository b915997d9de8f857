/** The TCP connection below a TLS one: only that can be reset, and Node names no way down to it. */
import type { Server, Socket } from 'node:net';

const BELOW = new WeakMap<Socket, Socket>();

/** Remembers for a TLS server which connection carries which. */
export function rememberBelow(server: Server): void {
  const shakingHands = new Map<string, Socket>();
  server.on('connection', (tcp: Socket) => {
    const peer = peerOf(tcp);
    shakingHands.set(peer, tcp);
    tcp.once('close', () => {
      if (shakingHands.get(peer) === tcp) shakingHands.delete(peer);
    });
  });
  server.on('secureConnection', (tls: Socket) => {
    const peer = peerOf(tls);
    const tcp = shakingHands.get(peer);
    shakingHands.delete(peer);
    if (tcp) BELOW.set(tls, tcp);
  });
}

/** Ends a connection so that the client sees a reset, with or without TLS. */
export function reset(socket: Socket): void {
  if (!('encrypted' in socket)) socket.resetAndDestroy();
  else {
    BELOW.get(socket)?.resetAndDestroy();
    socket.destroy();
  }
}

/** One listener, one port: two open connections differ in the peer's address or port. */
const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;
