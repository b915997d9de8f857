/**
 * The practical limit of a proxy on Node: `node:http` in front, undici's `dispatch` behind, small request bodies in one
 * piece, answers written straight to the client, and nothing else: no policies, no log, no metrics. What Outrigger
 * costs above this is what its features cost. Run as: pass-through.ts <port> <upstream port>
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Pool, type Dispatcher } from 'undici';

/** Bodies up to this size are collected first: one write to the upstream is cheaper than a stream. */
const BUFFERED_BODY_BYTES = 64 * 1_024;

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

const [port, upstreamPort] = process.argv.slice(2).map(Number);
const pool = new Pool(`http://127.0.0.1:${upstreamPort}`, {
  allowH2: false,
  headersTimeout: 0,
  bodyTimeout: 0,
});

/** Writes one answer to the client as it comes, at the pace the client takes it. */
class Relay implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;
  #controller: Dispatcher.DispatchController | undefined;
  #clientLeft = false;
  #dataCame = false;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.once('close', () => this.#cancelUnlessFinished());
  }

  #cancelUnlessFinished(): void {
    if (this.#response.writableFinished) return;
    this.#clientLeft = true;
    this.#controller?.abort(new Error('client left'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#clientLeft) throw new Error('client left');
    this.#controller = controller;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) return;
    this.#response.writeHead(status, endToEnd(controller.rawHeaders as Buffer[]));
    process.nextTick(flushHeadUnlessDataCame, this);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#dataCame = true;
    if (this.#response.write(chunk)) return;
    controller.pause();
    this.#response.once('drain', () => controller.resume());
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    if (this.#clientLeft) return;
    if (this.#response.headersSent) this.#response.destroy();
    else this.#response.writeHead(502, ['content-length', '0']).end();
  }

  flushHeadUnlessDataCame(): void {
    if (!this.#dataCame && !this.#response.writableEnded) this.#response.flushHeaders();
  }
}

/** An event stream's head must not wait for its first event, a JSON answer's head shall travel with its body. */
function flushHeadUnlessDataCame(relay: Relay): void {
  relay.flushHeadUnlessDataCame();
}

function endToEnd(raw: readonly (Buffer | string)[]): string[] {
  const headers: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]?.toString('latin1') ?? '';
    if (!hopByHop.has(name.toLowerCase())) headers.push(name, raw[i + 1]?.toString('latin1') ?? '');
  }
  return headers;
}

function forward(
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer | IncomingMessage | null,
): void {
  const { url = '/', method = 'GET' } = request;
  const headers = endToEnd(request.rawHeaders);
  pool.dispatch({ path: url, method, headers, body, reset: false }, new Relay(response));
}

function collect(request: IncomingMessage, whole: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => whole(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
}

const server = createServer((request, response) => {
  const length = request.headers['content-length'];
  if (length === undefined && request.headers['transfer-encoding'] === undefined)
    forward(request, response, null);
  else if (length !== undefined && Number(length) <= BUFFERED_BODY_BYTES) {
    collect(request, (body) => forward(request, response, body));
  } else forward(request, response, request);
});
server.listen(port, '127.0.0.1', 4_096);
