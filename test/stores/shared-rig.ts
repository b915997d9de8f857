/** A service that counts its calls, and callers that never wait for each other. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setInterval as every } from 'node:timers/promises';

export interface CountingService extends AsyncDisposable {
  readonly origin: string;
  /** Calls that reached it. */
  readonly calls: number;
  /** From the first of them to the last one, in seconds. */
  readonly lasted: number;
}

export async function countingService(): Promise<CountingService> {
  const times: number[] = [];
  const server = createServer(({ url }, response) => {
    if (url !== WARM_UP) times.push(performance.now());
    response.end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get calls() {
      return times.length;
    },
    get lasted() {
      return ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1_000;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Calls for this path are not counted. */
export const WARM_UP = '/warm-up';

export interface LoadOptions {
  readonly ports: readonly number[];
  readonly perSecond: number;
  readonly seconds: number;
  readonly path: string;
  /** Ends it before its time. */
  readonly enough?: () => boolean;
}

export interface LoadResult {
  /** How many answers had each status; `failed` where there was none. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly sent: number;
  /** From the first call to the last one, in seconds. */
  readonly lasted: number;
  /** From the first call to the last answer, in seconds. */
  readonly answeredAfter: number;
}

const TICK_MS = 20;

/** So many calls a second, whatever becomes of them, in turn to each port. */
export async function load({ ports, perSecond, seconds, path, enough }: LoadOptions): Promise<LoadResult> {
  const statuses: Record<string, number> = {};
  const calls: Promise<void>[] = [];
  const call = async (port: number): Promise<void> => {
    const status = await fetch(`http://127.0.0.1:${port}${path}`).then(
      async (answer) => {
        await answer.arrayBuffer();
        return String(answer.status);
      },
      () => 'failed',
    );
    statuses[status] = (statuses[status] ?? 0) + 1;
  };
  const startedAt = performance.now();
  const elapsed = (): number => (performance.now() - startedAt) / 1_000;
  for await (const _ of every(TICK_MS)) {
    // Ticks may come late: what is due by now is due.
    while (calls.length < Math.min(elapsed(), seconds) * perSecond)
      calls.push(call(ports[calls.length % ports.length] ?? 0));
    if (elapsed() >= seconds || enough?.()) break;
  }
  const lasted = elapsed();
  await Promise.all(calls);
  return { statuses, sent: calls.length, lasted, answeredAfter: elapsed() };
}
