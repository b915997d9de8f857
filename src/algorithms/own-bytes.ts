/** Bytes in memory of their own: what is kept must not keep more alive than it is counted for. */

/**
 * The parts one after the other. `Buffer.concat` would take memory for less than 32 KiB from a pool of 64 KiB, and a few
 * bytes that are kept would keep all of it.
 */
export function ownBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
