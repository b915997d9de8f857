/** The upstream on raw sockets: canned JSON, event streams sent by command, big bodies, uploads that are counted. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import {
  CHAT_PATH,
  chatEndChunk,
  chatEventChunk,
  eventChunk,
  eventStreamHead,
  jsonAnswer,
} from './content.ts';
import { jsonOf, JSON_BYTES, lastChunk, MIB } from './content.ts';
import { MessageReader } from './wire.ts';

const cannedJson = jsonAnswer(jsonOf(JSON_BYTES));
const filler = Buffer.alloc(MIB / 4, 'x');

/** The event streams that are open at the upstream; the load decides when each gets its next event. */
export class StreamBoard {
  readonly #sockets = new Map<number, Socket>();
  /** What the streams send; all that are open at a time send the same. */
  #event = eventChunk;

  get open(): number {
    return this.#sockets.size;
  }

  add(id: number, socket: Socket, event: Buffer): void {
    this.#event = event;
    this.#sockets.set(id, socket);
    socket.once('close', () => this.#remove(id, socket));
    socket.write(eventStreamHead);
    // Whoever reads such a stream holds its head until there is a word.
    if (event === chatEventChunk) this.send(id);
  }

  #remove(id: number, socket: Socket): void {
    if (this.#sockets.get(id) === socket) this.#sockets.delete(id);
  }

  /** One event in one write of its own. */
  send(id: number): void {
    this.#sockets.get(id)?.write(this.#event);
  }

  end(id: number): void {
    const socket = this.#sockets.get(id);
    if (this.#event === chatEventChunk) socket?.write(chatEndChunk);
    socket?.write(lastChunk);
    this.#sockets.delete(id);
  }
}

export interface Upstream {
  readonly port: number;
  readonly streams: StreamBoard;
}

export async function startUpstream(): Promise<Upstream> {
  const streams = new StreamBoard();
  const server = createServer({ noDelay: true }, (socket) => serve(socket, streams));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4_096, resolve));
  return { port: (server.address() as AddressInfo).port, streams };
}

function serve(socket: Socket, streams: StreamBoard): void {
  let path = '';
  let received = 0;
  const reader = new MessageReader('request', {
    onHead: (head) => {
      path = head.split(' ', 2)[1] ?? '';
      received = 0;
    },
    onBody: (bytes) => {
      received += bytes;
    },
    onEnd: () => answer(socket, streams, { path, received }),
  });
  socket.on('data', (data) => reader.feed(data));
  // Proxies drop idle connections as they please; whoever waited for an answer notices by itself.
  socket.on('error', () => socket.destroy());
}

interface Received {
  readonly path: string;
  /** Bytes of its body. */
  readonly received: number;
}

function answer(socket: Socket, streams: StreamBoard, { path, received }: Received): void {
  const [, what, detail] = path.split('/');
  if (what === 'sse')
    streams.add(Number(detail), socket, path.endsWith(CHAT_PATH) ? chatEventChunk : eventChunk);
  else if (what === 'big') sendBig(socket, Number(detail));
  else if (what === 'upload') socket.write(jsonAnswer(JSON.stringify({ received })));
  else socket.write(cannedJson);
}

function sendBig(socket: Socket, bytes: number): void {
  socket.write(
    `HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: ${bytes}\r\n\r\n`,
  );
  writePaced(socket, bytes);
}

/** Writes `bytes` bytes, waiting for the socket to drain whenever it asks for that. */
export function writePaced(socket: Socket, bytes: number): void {
  let left = bytes;
  const more = (): void => {
    while (left > 0) {
      const piece = left < filler.length ? filler.subarray(0, left) : filler;
      left -= piece.length;
      if (!socket.write(piece)) {
        if (left > 0) socket.once('drain', more);
        return;
      }
    }
  };
  more();
}
