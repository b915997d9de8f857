/** A small HTTP server of a test's own, on a free port. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Conditions } from '../support/conditions.ts';

export interface Heard {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface LocalServer extends AsyncDisposable {
  readonly origin: string;
  readonly heard: readonly Heard[];
  /** Resolves when so many requests have come. */
  waitFor(count: number): Promise<void>;
}

export async function localServer(
  answer: (heard: Heard, response: ServerResponse, index: number) => void,
): Promise<LocalServer> {
  const heard: Heard[] = [];
  const conditions = new Conditions();
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const one = { method, url, headers, body };
      heard.push(one);
      answer(one, response, heard.length - 1);
      conditions.changed();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    waitFor: (count) =>
      conditions.untilTrue(
        () => heard.length >= count,
        () => `${count} requests; ${heard.length} came`,
      ),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
