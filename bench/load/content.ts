/** What is sent in either direction. Sizes are part of the scenarios' names and must not change between peers. */

export const MIB = 1_024 * 1_024;
export const BIG_BYTES = 64 * MIB;
export const JSON_BYTES = 1_024;
/** One server-sent event, framing of the transfer excluded. */
export const EVENT_BYTES = 200;

/** A JSON object of exactly `bytes` ASCII bytes. */
export function jsonOf(bytes: number): string {
  const shell = JSON.stringify({ model: 'bench', text: '' });
  return JSON.stringify({ model: 'bench', text: 'x'.repeat(bytes - shell.length) });
}

const eventShell = 'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n';
const event = eventShell.replace('""', `"${'t'.repeat(EVENT_BYTES - eventShell.length)}"`);

/** One event as one chunk of a chunked answer. */
export const eventChunk = Buffer.from(`${EVENT_BYTES.toString(16)}\r\n${event}\r\n`, 'latin1');
export const lastChunk = Buffer.from('0\r\n\r\n', 'latin1');

export const eventStreamHead = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n',
  'latin1',
);

export function jsonAnswer(body: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    'latin1',
  );
}

/** A POST of a small JSON body, as agents send it. */
export function jsonPost(path: string, body: string): Buffer {
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: bench.local\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    'latin1',
  );
}
