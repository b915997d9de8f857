/** An HTTP/2 upstream that writes single frames, for what a whole implementation would never send. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { serverTlsOptions } from '../support/tls/identities.ts';

const PREFACE_BYTES = 24;
const FRAME = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6, goaway: 7 } as const;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
/** `:status: 200`, as HPACK's static table has it. */
const STATUS_200 = Buffer.from([0x88]);

/** Called at the head of each request; `connection` and `n` count from 1. */
export type OnHead = (frames: FrameWriter, stream: number, at: { connection: number; n: number }) => void;

export interface FrameUpstream extends AsyncDisposable {
  readonly origin: string;
}

export async function frameUpstream(onHead: OnHead): Promise<FrameUpstream> {
  let connections = 0;
  let requests = 0;
  const sockets = new Set<TLSSocket>();
  const server = createServer({ ...serverTlsOptions({}), ALPNProtocols: ['h2'] }, (socket) => {
    sockets.add(socket);
    const connection = ++connections;
    const frames = new FrameWriter(socket);
    frames.write(FRAME.settings, 0, 0);
    readFrames(socket, (type, flags, stream, payload) => {
      if (type === FRAME.settings && !(flags & ACK)) frames.write(FRAME.settings, ACK, 0);
      if (type === FRAME.ping && !(flags & ACK)) frames.write(FRAME.ping, ACK, 0, payload);
      if (type === FRAME.headers) onHead(frames, stream, { connection, n: ++requests });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const dispose = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    const closed = once(server, 'close');
    server.close();
    await closed;
  };
  const { port } = server.address() as AddressInfo;
  return { origin: `https://127.0.0.1:${port}`, [Symbol.asyncDispose]: dispose };
}

export class FrameWriter {
  readonly #socket: TLSSocket;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
  }

  /** 200 without further fields. */
  head(stream: number): void {
    this.write(FRAME.headers, END_HEADERS, stream, STATUS_200);
  }

  data(stream: number, text: string, last = false): void {
    this.write(FRAME.data, last ? END_STREAM : 0, stream, Buffer.from(text));
  }

  reset(stream: number, code: number): void {
    this.write(FRAME.rstStream, 0, stream, uint32(code));
  }

  /** @param last number of the last stream that is still processed */
  goaway(last: number, code: number): void {
    this.write(FRAME.goaway, 0, 0, Buffer.concat([uint32(last), uint32(code)]));
  }

  write(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): void {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    this.#socket.write(Buffer.concat([head, payload]));
  }
}

function readFrames(
  socket: TLSSocket,
  onFrame: (type: number, flags: number, stream: number, payload: Buffer) => void,
): void {
  let skip = PREFACE_BYTES;
  let rest: Buffer = Buffer.alloc(0);
  socket.on('error', () => undefined);
  socket.on('data', (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes]);
    if (rest.length < skip) return;
    rest = rest.subarray(skip);
    skip = 0;
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      onFrame(rest.readUInt8(3), rest.readUInt8(4), rest.readUInt32BE(5) & 0x7fffffff, rest.subarray(9, end));
      rest = rest.subarray(end);
    }
  });
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
