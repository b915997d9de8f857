/** Stands for the bytes of an upgraded connection where policies expect a body: its completion is the tunnel's end. */
import type { Duplex } from 'node:stream';
import { BodyEnd } from '../core/body-end.ts';
import type { Attempt } from '../core/exchange.ts';
import type { BodySink, ResponseBody } from '../core/outcome.ts';

export class TunnelBody extends BodyEnd implements ResponseBody {
  readonly #socket: Duplex;

  constructor(attempt: Attempt, socket: Duplex) {
    super();
    this.#socket = socket;
    let bytes = 0;
    // A listener now would make the bytes flow that came with the head, before there is anyone to take them.
    socket.once('resume', () => {
      socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
    });
    socket.once('close', () => {
      attempt.phase = 'ended';
      this.settleEnd({ end: 'complete', bytes });
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
