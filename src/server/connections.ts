/** The open connections of a listener, and which answers are under way on each. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface Connection {
  /** The response to the newest request. */
  latest: ServerResponse | undefined;
  /** Responses to pipelined requests; each has to wait for the one before. */
  waiting: Set<ServerResponse> | undefined;
}

export class Connections {
  readonly #open = new Map<Socket, Connection>();

  add(socket: Socket): void {
    const connection: Connection = { latest: undefined, waiting: undefined };
    this.#open.set(socket, connection);
    socket.once('close', () => {
      this.#open.delete(socket);
      // Node tells of the close only to the response that has the socket.
      for (const res of connection.waiting ?? []) res.destroy();
    });
  }

  /** A request came in on `socket`, and `res` is to be its answer. */
  answering(socket: Socket, res: ServerResponse): void {
    const connection = this.#open.get(socket);
    if (!connection) return;
    connection.latest = res;
    if (res.socket) return;
    const waiting = (connection.waiting ??= new Set());
    waiting.add(res);
    res.once('close', () => waiting.delete(res));
  }

  /**
   * `none`: no answer is under way; `due`: one is, of which nothing was sent; `begun`: what is written to the socket
   * now would end up in the middle of an answer.
   */
  answerOn(socket: Socket): 'none' | 'due' | 'begun' {
    const latest = this.#open.get(socket)?.latest;
    if (!latest || latest.closed) return 'none';
    return latest.socket === socket && !latest.headersSent ? 'due' : 'begun';
  }

  /** The last answer on each connection tells its client that the connection ends with it, unless it has begun already. */
  closeAfterAnswers(): void {
    for (const { latest } of this.#open.values())
      if (latest && !latest.headersSent) latest.shouldKeepAlive = false;
  }

  /** Ends connections on which nothing was ever sent: they are not idle to Node and would hold a close up. */
  destroyUnused(): void {
    for (const socket of this.#open.keys()) if (socket.bytesRead === 0) socket.destroy();
  }

  destroyAll(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }
}
