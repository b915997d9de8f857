/** A real MCP server on a free port, made of the official SDK, that keeps sessions and records what it saw. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { EventStore } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import { Conditions } from '../support/conditions.ts';

export interface McpServerOptions {
  /** Answer POSTs with JSON instead of streams. Default false. */
  readonly json?: boolean;
  /** Offer the stream at GET. Default true; else 405. */
  readonly get?: boolean;
  /** Keep events so that broken streams can be resumed. Default false. */
  readonly resumable?: boolean;
}

export interface SeenRequest {
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly socket: IncomingMessage['socket'];
  /** How the exchange ended; undefined while it is open. */
  end: 'answered' | 'broken' | undefined;
}

/** A tool call that the test answers itself. */
export interface PendingCall {
  progress(done: number, total: number): Promise<void>;
  answer(text: string): void;
  /** Closes the call's stream as a server does that wants to be asked again. */
  closeStream(): void;
}

const JSON_OF_404 = JSON.stringify({
  jsonrpc: '2.0',
  id: null,
  error: { code: -32001, message: 'Session not found' },
});

export async function mcpServer(options: McpServerOptions = {}): Promise<TestMcpServer> {
  const server = new TestMcpServer(options);
  await server.listen();
  return server;
}

export class TestMcpServer {
  readonly requests: SeenRequest[] = [];
  readonly calls: PendingCall[] = [];
  readonly sessions = new Map<string, { transport: StreamableHTTPServerTransport; server: Server }>();
  readonly #options: McpServerOptions;
  readonly #conditions = new Conditions();
  readonly #http: HttpServer;

  constructor(options: McpServerOptions) {
    this.#options = options;
    this.#http = createServer((req, res) => void this.#handle(req, res));
  }

  async listen(): Promise<void> {
    this.#http.listen({ port: 0, host: '127.0.0.1' });
    await once(this.#http, 'listening');
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** Until `probe` returns something; asked again whenever anything happens here. */
  waitFor<T>(probe: () => T | undefined, wanted: string): Promise<T> {
    return this.#conditions.until(probe, () => `${wanted}; saw ${this.#describe()}`);
  }

  /** The `n`-th request (from 1) with that method. */
  waitForRequest(method: string, n = 1): Promise<SeenRequest> {
    return this.waitFor(() => this.requests.filter((one) => one.method === method)[n - 1], `${method} ${n}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server } of this.sessions.values()) await server.close();
    const closed = once(this.#http, 'close');
    this.#http.close();
    this.#http.closeAllConnections();
    await closed;
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    this.#record(req, res);
    if (req.method === 'GET' && this.#options.get === false) {
      res.writeHead(405, { allow: 'POST, DELETE' }).end();
      return;
    }
    const id = req.headers['mcp-session-id'];
    const known = typeof id === 'string' ? this.sessions.get(id)?.transport : await this.#newSession();
    if (known) await known.handleRequest(req, res);
    else res.writeHead(404, { 'content-type': 'application/json' }).end(JSON_OF_404);
  }

  #record(req: IncomingMessage, res: ServerResponse): void {
    const seen: SeenRequest = {
      method: req.method ?? '',
      headers: req.headers,
      socket: req.socket,
      end: undefined,
    };
    this.requests.push(seen);
    res.on('close', () => {
      seen.end = res.writableFinished ? 'answered' : 'broken';
      this.#conditions.changed();
    });
    this.#conditions.changed();
  }

  async #newSession(): Promise<StreamableHTTPServerTransport> {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void this.sessions.set(id, { transport, server }),
      onsessionclosed: (id) => void this.sessions.delete(id),
      enableJsonResponse: this.#options.json ?? false,
      keepAliveMs: 0,
      retryInterval: 10,
      ...(this.#options.resumable && { eventStore: new EventsInMemory() }),
    });
    const server = this.#toolServer();
    await server.connect(transport);
    return transport;
  }

  #toolServer(): Server {
    const about = { name: 'test-server', version: '1.0.0' };
    const server = new Server(about, { capabilities: { tools: { listChanged: true }, logging: {} } });
    const inputSchema = { type: 'object' as const };
    server.setRequestHandler(ListToolsRequestSchema, () => ({
      tools: [
        { name: 'echo', description: 'says it again', inputSchema },
        { name: 'wait', description: 'answers when the test says so', inputSchema },
      ],
    }));
    server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
      if (params.name === 'echo') return textResult(JSON.stringify(params.arguments));
      const { promise, resolve } = Promise.withResolvers<string>();
      const progressToken = params._meta?.progressToken ?? 'none';
      this.calls.push({
        progress: (progress, total) =>
          extra.sendNotification({
            method: 'notifications/progress',
            params: { progressToken, progress, total },
          }),
        answer: resolve,
        closeStream: () => extra.closeSSEStream?.(),
      });
      this.#conditions.changed();
      return textResult(await promise);
    });
    return server;
  }

  #describe(): string {
    return this.requests.map(({ method, end }) => `${method} (${end ?? 'open'})`).join(', ');
  }
}

const textResult = (text: string) => ({ content: [{ type: 'text' as const, text }] });

/** Events by number; the stream's name is part of the id. */
class EventsInMemory implements EventStore {
  readonly #events: { readonly id: string; readonly stream: string; readonly message: JSONRPCMessage }[] = [];

  async storeEvent(stream: string, message: JSONRPCMessage): Promise<string> {
    const id = `${stream}_${this.#events.length}`;
    this.#events.push({ id, stream, message });
    return id;
  }

  async replayEventsAfter(
    lastId: string,
    { send }: { send: (id: string, message: JSONRPCMessage) => Promise<void> },
  ): Promise<string> {
    const at = this.#events.findIndex(({ id }) => id === lastId);
    const stream = this.#events[at]?.stream ?? '';
    for (const event of this.#events.slice(at + 1)) {
      if (event.stream === stream && 'jsonrpc' in event.message) await send(event.id, event.message);
    }
    return stream;
  }
}
