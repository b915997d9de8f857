/** Hashes for spreading keys over endpoints: the same on every machine and in every version, quick, not secret. */

/** 32 bits of a text, over its UTF-16 code units. @see Fowler, Noll, Vo: FNV-1a */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return mixed(hash);
}

/** 32 bits of two hashes, in which the order counts. */
export const hashPair = (a: number, b: number): number => mixed(Math.imul(a, 0x9e3779b1) ^ b);

/** Spreads every bit over all others. @see Appleby, MurmurHash3, 32-bit finaliser */
function mixed(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
