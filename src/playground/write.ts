/** Writes answers: whole, or broken where a fault wants it. Only here bytes go out. */
import type { ServerResponse } from 'node:http';
import type { Cancellation } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import type { ApiError } from './errors.ts';
import type { PlaygroundExchange } from './exchange.ts';
import type { EventScript } from './reply.ts';

/** Sends `body` as JSON with its length. */
export function sendJson(
  response: ServerResponse,
  body: object,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, jsonHeaders(bytes, headers));
  response.end(bytes);
}

export function sendError(response: ServerResponse, { status, headers, body }: ApiError): void {
  sendJson(response, body, status, headers);
}

/** Announces all of `body`, sends half of it and closes the connection. */
export function sendCutJson(exchange: PlaygroundExchange, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  exchange.response.writeHead(200, jsonHeaders(bytes));
  exchange.response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => {
    exchange.breakOff('close');
  });
}

const jsonHeaders = (
  bytes: Buffer,
  others: Readonly<Record<string, string>> = {},
): Record<string, string> => ({
  ...others,
  'content-type': 'application/json',
  'content-length': String(bytes.length),
});

/**
 * Streams `script` with `intervalMs` between its tokens, no faster than the client reads. Stops at once, without
 * another byte, when the exchange is cancelled.
 * @param cut stops after half of the tokens and ends the body as if that were all of it
 */
export async function sendEvents(
  exchange: PlaygroundExchange,
  script: EventScript,
  { clock, intervalMs, cut }: { readonly clock: Clock; readonly intervalMs: number; readonly cut: boolean },
): Promise<void> {
  const { response, cancellation } = exchange;
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
  });
  await writePaced(response, script.opening, cancellation);
  const tokens = cut ? script.tokens.slice(0, Math.floor(script.tokens.length / 2)) : script.tokens;
  for (const [index, token] of tokens.entries()) {
    if (index > 0 && intervalMs > 0) await sleep(clock, intervalMs, cancellation);
    if (cancellation.cancelled) return;
    await writePaced(response, script.delta(token, index), cancellation);
  }
  if (cancellation.cancelled) return;
  if (cut) response.end();
  else response.end(script.closing);
}

/** Resolves when more may be written, or when the exchange is cancelled. */
async function writePaced(response: ServerResponse, text: string, cancellation: Cancellation): Promise<void> {
  if (response.write(text) || cancellation.cancelled) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      cancellation.off(done);
      resolve();
    };
    response.on('drain', done);
    cancellation.onCancel(done);
  });
}
