/** Request bodies that do not come from a client. */
import type { RequestBody } from './request.ts';

/** A request without a body. */
export const NO_BODY: RequestBody = {
  replayable: true,
  shareable: true,
  length: undefined,
  waitingForClient: false,
  open: () => null,
  peek: () => null,
  whole: () => Promise.resolve(null),
};

/** A body that is here as a whole. */
export const bodyOfBytes = (bytes: Uint8Array): RequestBody => ({
  replayable: true,
  shareable: true,
  length: bytes.length,
  waitingForClient: false,
  open: () => bytes,
  peek: () => bytes,
  whole: () => Promise.resolve(bytes),
});

const utf8 = new TextDecoder();

/** The body as JSON; undefined where it is not here as a whole, or is none. */
export function jsonIn(body: RequestBody): unknown {
  const bytes = body.peek();
  if (!bytes) return undefined;
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    return undefined;
  }
}
