/** The JSON body of a request, in bounds. */
import type { IncomingMessage } from 'node:http';
import type { Answer } from './problem.ts';
import { misfitProblem, problem } from './problem.ts';

export type Body =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly refusal: Answer }
  /** The client went before its end. */
  | undefined;

/** @returns a value of undefined where the body is empty */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Body> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > maxBytes) return refuse(tooLarge(maxBytes));
      parts.push(part);
    }
  } catch {
    return undefined;
  }
  if (bytes === 0) return { ok: true, value: undefined };
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/json\s*(;|$)/i.test(type)) return refuse(wrongType(type));
  try {
    return { ok: true, value: JSON.parse(Buffer.concat(parts).toString('utf8')) as unknown };
  } catch {
    return refuse(misfitProblem({ where: 'body', expected: 'JSON', got: 'something else' }));
  }
}

const refuse = (refusal: Answer): Body => ({ ok: false, refusal });

/** The rest of the body is not read, so the connection cannot go on. */
const tooLarge = (maxBytes: number): Answer =>
  problem({
    ...{ status: 413, code: 'body_too_large', detail: `expected a body of at most ${maxBytes} bytes` },
    headers: { connection: 'close' },
  });

const wrongType = (type: string): Answer =>
  problem({
    ...{ status: 415, code: 'unsupported_media_type' },
    detail: `expected content-type application/json, got ${type === '' ? 'none' : type.slice(0, 60)}`,
  });
