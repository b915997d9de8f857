/** Stands for the bytes of an upgraded connection where policies expect a body: its completion is the tunnel's end. */
import type { Duplex } from 'node:stream';
import type { Attempt } from '../core/exchange.ts';
import type { BodySink, Completion, ResponseBody } from '../core/outcome.ts';

export class TunnelBody implements ResponseBody {
  readonly completion: Promise<Completion>;
  readonly #socket: Duplex;

  constructor(attempt: Attempt, socket: Duplex) {
    this.#socket = socket;
    let bytes = 0;
    // A listener now would make the bytes flow that came with the head, before there is anyone to take them.
    socket.once('resume', () => {
      socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
    });
    this.completion = new Promise((resolve) => {
      socket.once('close', () => {
        attempt.phase = 'ended';
        resolve({ end: 'complete', bytes });
      });
    });
    // Whoever joins the two ends hears of errors through `close`; an unheard error would end the process.
    socket.on('error', () => socket.destroy());
  }

  pipe(_sink: BodySink): void {
    throw new Error('a tunnel has no body: use the outcome’s tunnel');
  }

  resume(): void {
    // The tunnel's ends push back on each other directly.
  }

  discard(): void {
    this.#socket.destroy();
  }
}
