/** Waits for a socket to be there, then closes it. */
import type { Socket } from 'node:net';

/**
 * @param ready name of the event that says that it is there
 * @returns once it is; it is destroyed in any case
 * @throws the socket's error, or `broken off` when `signal` is first
 */
export function connecting(
  socket: Socket,
  ready: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const onAbort = (): void => reject(new Error('broken off'));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once(ready, () => resolve());
    // Stays on: a socket may fail once more while it is destroyed.
    socket.on('error', reject);
    socket.once('close', () => {
      signal.removeEventListener('abort', onAbort);
      reject(new Error('the connection was closed'));
    });
    if (signal.aborted) onAbort();
  }).finally(() => socket.destroy());
}
