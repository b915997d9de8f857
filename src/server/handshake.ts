/**
 * What Node's server leaves to us on a connection that it hands over with an Upgrade request: answering it as long as
 * no protocol has been switched, and putting back what was no upgrade after all.
 */
import { ServerResponse } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/** A client that does not close after its refusal, or does not read it, has this long. */
const LAST_BYTES_MS = 5_000;

export interface Handshake {
  readonly res: ServerResponse;
  /** Takes the connection from the response: the protocol was switched. The response closes with the connection. */
  readonly release: () => void;
}

/** An ordinary response on a handed-over connection, which is closed after it. */
export function handshakeOn(req: IncomingMessage, socket: Socket): Handshake {
  // Node takes its own listeners away at this point.
  socket.on('error', () => socket.destroy());
  const res = new ServerResponse(req);
  res.shouldKeepAlive = false;
  res.assignSocket(socket);
  const onDrain = (): void => void res.emit('drain');
  // Nobody waits for an answer with half a connection: to us, a FIN means that the client has left.
  const onEnd = (): void => void socket.destroy();
  const onFinish = (): void => {
    socket.setTimeout(LAST_BYTES_MS, () => socket.destroy());
    socket.end();
    socket.resume();
  };
  socket.on('drain', onDrain);
  socket.on('end', onEnd);
  res.on('finish', onFinish);
  const release = (): void => {
    socket.off('drain', onDrain);
    socket.off('end', onEnd);
    res.detachSocket(socket);
    socket.once('close', () => res.emit('close'));
  };
  return { res, release };
}

/**
 * Node before version 24 takes every Upgrade request for an upgrade, and its body for bytes of another protocol. Puts
 * the request back without that field, so that the server reads it again: as a plain one.
 */
export function readAsPlain(
  server: Server,
  { req, socket, early }: { req: IncomingMessage; socket: Socket; early: Buffer },
): void {
  let head = `${req.method} ${req.url} HTTP/${req.httpVersion}\r\n`;
  const raw = req.rawHeaders;
  for (let i = 0; i < raw.length; i += 2) {
    if ((raw[i] as string).toLowerCase() !== 'upgrade') head += `${raw[i]}: ${raw[i + 1]}\r\n`;
  }
  socket.unshift(Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), early]));
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket);
}
