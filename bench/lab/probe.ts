/** Finding free ports, and finding out whether somebody answers on one. Loopback only. */
import { createServer, connect, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const HOST = '127.0.0.1';
const POLL_MS = 2;

/** A port that was free a moment ago. The kernel hands them out in turn, so another taker is unlikely. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, HOST, resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** One GET; resolves with the status, or 0 when nobody answered within `timeoutMs`. */
export function probeStatus(port: number, path: string, timeoutMs: number): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: HOST });
    let head = '';
    const finish = (status: number): void => {
      socket.destroy();
      resolve(status);
    };
    socket.setTimeout(timeoutMs, () => finish(0));
    socket.once('error', () => finish(0));
    socket.once('close', () => finish(0));
    socket.once('connect', () => {
      socket.write(`GET ${path} HTTP/1.1\r\nhost: ${HOST}:${port}\r\nconnection: close\r\n\r\n`);
    });
    socket.on('data', (chunk: Buffer) => {
      head += chunk.toString('latin1');
      const status = /^HTTP\/1\.\d (\d{3})/.exec(head)?.[1];
      if (status !== undefined) finish(Number(status));
    });
  });
}

export interface Wait {
  readonly timeoutMs: number;
  /** Ends the wait early, for instance because the process died. */
  readonly givenUp: () => boolean;
}

/** Asks until the answer is 200. Resolves with whether it ever was. */
export async function untilOk(port: number, path: string, wait: Wait): Promise<boolean> {
  const giveUpAt = performance.now() + wait.timeoutMs;
  while (performance.now() < giveUpAt && !wait.givenUp()) {
    if ((await probeStatus(port, path, 1_000)) === 200) return true;
    await delay(POLL_MS);
  }
  return false;
}
