/** A request's body for an exchange that goes on although the client that sent it may leave. */
import { Readable } from 'node:stream';
import { NO_BODY, bodyOfBytes } from '../core/request-bodies.ts';
import type { RequestBody } from '../core/request.ts';

/** Larger bodies go out piece by piece: whoever writes all at once learns nothing of how the upload gets on. */
const ONE_WRITE_BYTES = 256 * 1024;
const PIECE_BYTES = 64 * 1024;

/** @param bytes null: there is none */
export function independentBody(bytes: Uint8Array | null): RequestBody {
  if (!bytes) return NO_BODY;
  const body = bodyOfBytes(bytes);
  if (bytes.length <= ONE_WRITE_BYTES) return body;
  return { ...body, open: () => Readable.from(piecesOf(bytes), { objectMode: false }) };
}

function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}
