/**
 * An MCP server whose tool counts its runs: the official SDK's own, in both generations, behind a connection that breaks
 * when the test says so.
 */
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import type { RecordedRequest } from '../support/upstream/recorded-request.ts';
import type { RequestStep } from '../support/upstream/step.ts';

export interface RpcMessage {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: { readonly name?: string; readonly _meta?: { readonly progressToken?: string | number } };
}

/** What befalls a call of a tool that has run: given the request and the answer that it should have had. */
export type Fault = (message: RpcMessage, answer: string) => RequestStep;

export interface ToolServer extends AsyncDisposable {
  readonly origin: string;
  readonly upstream: ScriptedUpstream;
  /** Names of the tools that ran, in order. */
  readonly runs: readonly string[];
  /** Bodies that were posted, in order. */
  readonly posted: readonly RpcMessage[];
}

/** @param faults one for each call of a tool, in order; the calls after them go well */
export async function toolServer(faults: readonly Fault[] = []): Promise<ToolServer> {
  const runs: string[] = [];
  const posted: RpcMessage[] = [];
  const handler = createMcpHandler(() => toolsThatCount(runs));
  let calls = 0;
  const step: RequestStep = {
    name: 'tool server',
    startsAt: 'body',
    run: async (exchange) => {
      const { request } = exchange;
      if (request.method !== 'POST') return respond({ status: 405 }).run(exchange);
      const message = JSON.parse(request.text()) as RpcMessage;
      posted.push(message);
      const answer = await handler.fetch(toWeb(request));
      const body = await answer.text();
      const fault = message.method === 'tools/call' ? faults[calls++] : undefined;
      const { status } = answer;
      const headers = [...answer.headers].filter(([name]) => name !== 'content-length');
      return (fault?.(message, jsonIn(body)) ?? respond({ status, headers, body })).run(exchange);
    },
  };
  const upstream = await scriptedUpstream([step]);
  return {
    origin: upstream.origin,
    upstream,
    runs,
    posted,
    [Symbol.asyncDispose]: async () => {
      await upstream[Symbol.asyncDispose]();
      await handler.close();
    },
  };
}

/** The SDK answers one generation with JSON and the other with a stream of one event. */
const jsonIn = (body: string): string => /^data: (.*)$/m.exec(body)?.[1] ?? body;

function toolsThatCount(runs: string[]): McpServer {
  const server = new McpServer({ name: 'tools', version: '1.0.0' });
  const tool = (name: string, annotations: object): void => {
    server.registerTool(name, { description: name, annotations }, () => {
      runs.push(name);
      return { content: [{ type: 'text', text: `${name} ran` }] };
    });
  };
  tool('send', {});
  tool('search_web', { readOnlyHint: true });
  return server;
}

function toWeb(request: RecordedRequest): Request {
  const headers = new Headers();
  for (const [name, value] of request.rawHeaders) headers.append(name, value);
  return new Request(`http://tools.test${request.target}`, { method: 'POST', headers, body: request.text() });
}
