/** Reads a request's body, up to a limit. */
import type { IncomingMessage } from 'node:http';

export type BodyRead =
  | { readonly kind: 'whole'; readonly bytes: Buffer }
  | { readonly kind: 'too-large' }
  /** The client left before the end. */
  | { readonly kind: 'cut' };

/**
 * Never rejects. What exceeds `limitBytes` is not kept; the server reads on to the end of the upload, so that the
 * client can read the refusal instead of meeting a reset.
 */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<BodyRead> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) return { kind: 'too-large' };
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= limitBytes) {
        chunks.push(chunk);
      } else {
        chunks.length = 0;
        resolve({ kind: 'too-large' });
      }
    });
    request.on('end', () => {
      resolve({ kind: 'whole', bytes: Buffer.concat(chunks) });
    });
    request.on('close', () => {
      resolve({ kind: 'cut' });
    });
  });
}
