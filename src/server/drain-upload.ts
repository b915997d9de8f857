/**
 * Lets a client that has its answer finish what it is sending: closing on it at once would reset the connection, and
 * the answer with it. Not for long: whoever goes on after that has had time to read.
 */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../core/clock.ts';

/** Time to read an answer while the upload still runs. */
const LINGER_MS = 5_000;

/** Reads and drops the rest of the request; ends the connection when there still is one after a while. */
export function drainUpload(req: IncomingMessage, clock: Clock): void {
  if (req.destroyed) return;
  req.resume();
  if (req.complete) return;
  const { socket } = req;
  const stop = (): void => {
    clock.clearTimer(timer);
    socket.off('close', stop);
  };
  const timer = clock.setBackgroundTimer(LINGER_MS, () => socket.destroy());
  req.once('end', stop);
  req.once('close', stop);
  // Of a request that is answered already, Node tells neither.
  socket.once('close', stop);
}
