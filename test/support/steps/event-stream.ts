/** Server-sent events, with every way such a stream can end. */
import type { RequestStep } from '../upstream/step.ts';
import type { UpstreamExchange } from '../upstream/upstream-exchange.ts';
import { toPairs, type HeadersInit } from '../wire/headers.ts';
import { bodyBytes, chunkBytes, headBytes, lastChunkBytes, statusLine } from '../wire/serialize.ts';

/** A string is the `data`; an object names the fields. */
export type EventInit =
  | string
  | {
      readonly event?: string;
      readonly data?: string;
      readonly id?: string;
      readonly retry?: number;
      readonly comment?: string;
    };

export interface EventStream {
  readonly events: readonly EventInit[];
  /** Pause before each event but the first, and before the end. Default 0: everything at once, one write an event. */
  readonly everyMs?: number;
  /** `clean`: a proper end; `cut`: FIN; `reset`: RST; `stall`: silence. Default `clean`. */
  readonly end?: 'clean' | 'cut' | 'reset' | 'stall';
  /** A last event, such as `[DONE]`. Default none. */
  readonly terminator?: EventInit;
  /** `close`: a body without framing, whose cut by FIN cannot be seen. Default `chunked`. */
  readonly framing?: 'chunked' | 'close';
  /** In addition to the content type. */
  readonly headers?: HeadersInit;
}

/** Streams the events once the request is complete. */
export function sse(stream: EventStream): RequestStep {
  return { name: 'sse', startsAt: 'body', run: (exchange) => writeStream(exchange, stream) };
}

/** The event as it stands in the stream. */
export function eventText(init: EventInit): string {
  const event = typeof init === 'string' ? { data: init } : init;
  const lines = [
    ...(event.comment === undefined ? [] : [`: ${event.comment}`]),
    ...(event.event === undefined ? [] : [`event: ${event.event}`]),
    ...(event.id === undefined ? [] : [`id: ${event.id}`]),
    ...(event.retry === undefined ? [] : [`retry: ${event.retry}`]),
    ...(event.data === undefined ? [] : event.data.split('\n').map((line) => `data: ${line}`)),
  ];
  return `${lines.join('\n')}\n\n`;
}

async function writeStream(exchange: UpstreamExchange, stream: EventStream): Promise<void> {
  const { everyMs = 0, framing = 'chunked', terminator } = stream;
  const events = terminator === undefined ? stream.events : [...stream.events, terminator];
  const frame = framing === 'chunked' ? chunkBytes : bodyBytes;
  await exchange.write(headBytes(statusLine(200), streamHeaders(stream)));
  for (const [index, event] of events.entries()) {
    if (index > 0 && everyMs > 0) await exchange.sleep(everyMs);
    await exchange.write(frame(eventText(event)));
  }
  if (everyMs > 0) await exchange.sleep(everyMs);
  await endStream(exchange, stream.end ?? 'clean', framing);
}

function streamHeaders({ framing, headers }: EventStream): HeadersInit {
  const chunked = framing === 'close' ? [] : [['transfer-encoding', 'chunked'] as const];
  return [['content-type', 'text/event-stream'], ...toPairs(headers ?? []), ...chunked];
}

async function endStream(
  exchange: UpstreamExchange,
  end: 'clean' | 'cut' | 'reset' | 'stall',
  framing: 'chunked' | 'close',
): Promise<void> {
  if (end === 'stall') return exchange.gone;
  if (end === 'reset') return exchange.reset();
  if (end === 'clean' && framing === 'chunked') await exchange.write(lastChunkBytes());
  else exchange.finish();
}
