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

/** A token as model APIs send it, with all that they put around it. */
const chatEvent = `data: ${JSON.stringify({
  id: 'chatcmpl-CgT2vJmQ8hYfN4xLr0Wz7kSpEo1Ua',
  object: 'chat.completion.chunk',
  created: 1_780_000_000,
  model: 'gpt-5-mini-2026-04-14',
  service_tier: 'default',
  system_fingerprint: null,
  choices: [{ index: 0, delta: { content: ' token' }, logprobs: null, finish_reason: null }],
  usage: null,
})}\n\n`;

const chunkOf = (text: string): Buffer => Buffer.from(`${text.length.toString(16)}\r\n${text}\r\n`, 'latin1');

/** One event as one chunk of a chunked answer. */
export const eventChunk = chunkOf(event);
export const chatEventChunk = chunkOf(chatEvent);
export const CHAT_EVENT_BYTES = chatEvent.length;
const chatEnd = 'data: [DONE]\n\n';
export const chatEndChunk = chunkOf(chatEnd);
export const CHAT_END_BYTES = chatEnd.length;
/** What the path of a stream of such events ends with. */
export const CHAT_PATH = '/v1/chat/completions';
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
