/** Joins a client's connection and an upstream's after a protocol switch. Bytes only: frames are not our business. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { ResponseHead } from '../core/outcome.ts';

/** The head of a 101, byte for byte as the upstream sent it plus our own fields. */
function headBytes(head: ResponseHead, extra: HeaderList): Buffer {
  let text = `HTTP/1.1 ${head.status} ${head.statusText}\r\n`;
  const all = [...head.headers, ...extra];
  for (let i = 0; i < all.length; i += 2) text += `${all[i]}: ${all[i + 1]}\r\n`;
  return Buffer.from(`${text}\r\n`, 'latin1');
}

export interface TunnelEnds {
  readonly client: Socket;
  readonly upstream: Duplex;
  /** Bytes that the client sent right after its request. */
  readonly early: Buffer;
}

export interface TunnelOptions {
  readonly head: ResponseHead;
  readonly extraHeaders: HeaderList;
  /** Longest silence in both directions. */
  readonly idleMs: number;
  readonly clock: Clock;
}

function destroyWhenFlushed(to: Duplex): void {
  if (to.writableFinished) to.destroy();
  else to.once('finish', () => to.destroy());
}

/** @returns a function that closes both ends; they close each other in any case */
export function joinTunnel({ client, upstream, early }: TunnelEnds, options: TunnelOptions): () => void {
  const { clock, idleMs } = options;
  let lastByteAt = clock.now();
  const close = (): void => {
    clock.clearTimer(timer);
    client.destroy();
    upstream.destroy();
  };
  const watch = (): void => {
    const silentMs = clock.now() - lastByteAt;
    if (silentMs >= idleMs) close();
    else timer = clock.setBackgroundTimer(idleMs - silentMs, watch);
  };
  let timer = clock.setBackgroundTimer(idleMs, watch);
  const relay = (from: Duplex, to: Duplex): void => {
    from.on('data', (chunk: Buffer) => {
      lastByteAt = clock.now();
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    from.on('error', close);
    from.on('close', () => {
      // The last bytes of an orderly end may still be on their way to the other side.
      if (from.readableEnded && !to.destroyed) destroyWhenFlushed(to);
      else close();
    });
  };
  client.setNoDelay(true);
  client.write(headBytes(options.head, options.extraHeaders));
  relay(client, upstream);
  relay(upstream, client);
  if (early.length > 0) upstream.write(early);
  client.resume();
  upstream.resume();
  return close;
}
