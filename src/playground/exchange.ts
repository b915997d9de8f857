/** One request that the playground has accepted, up to the one ending that the statistics give it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Cancellation } from '../core/cancellation.ts';
import type { Ending } from './stats.ts';

/** Called once per exchange, when it has ended. */
type OnEnd = (ending: Ending) => void;

export class PlaygroundExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Unique within this playground. */
  readonly id: string;
  /** The clock's time of arrival. */
  readonly arrivedAt: number;
  /** Whoever works on the answer stops at once when this is cancelled. */
  readonly cancellation = new Cancellation();
  /** Whether the first event of a stream has been written. */
  streamed = false;
  /** How the exchange ends once its answer is out. */
  #planned: Ending = 'answered';
  #ended = false;
  readonly #onEnd: OnEnd;

  constructor(
    http: { readonly request: IncomingMessage; readonly response: ServerResponse },
    { id, arrivedAt }: { readonly id: string; readonly arrivedAt: number },
    onEnd: OnEnd,
  ) {
    this.request = http.request;
    this.response = http.response;
    this.id = id;
    this.arrivedAt = arrivedAt;
    this.#onEnd = onEnd;
    // A write that races with the client's departure fails; `close` tells all that matters.
    this.response.on('error', () => {});
    this.response.on('close', () => {
      this.connectionClosed();
    });
  }

  /** Says how the exchange ends if its answer goes out to the last byte. Without it: `answered`. */
  plan(ending: Ending): void {
    this.#planned = ending;
  }

  /**
   * Breaks the connection as a fault.
   * @param how `reset` sends RST; `close` sends FIN wherever the answer happens to be
   */
  breakOff(how: 'reset' | 'close'): void {
    this.#end('failed');
    if (how === 'reset') this.request.socket.resetAndDestroy();
    else this.request.socket.destroy();
  }

  /** Stops the work on the answer because the playground closes. Its connection is the server's to destroy. */
  interrupt(): void {
    this.#end('interrupted');
    this.cancellation.cancel('shutdown');
  }

  /** Tells that nothing more can be written: all is out, or the client has left. */
  connectionClosed(): void {
    if (this.response.writableFinished) {
      this.#end(this.#planned);
    } else {
      this.#end('abandoned');
      this.cancellation.cancel('client-aborted');
    }
  }

  #end(ending: Ending): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd(ending);
  }
}
