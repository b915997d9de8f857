/** Idempotency-Key fields, and the digests by which calls with keys are told apart. */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';

/** What a request says of its key. */
export type KeyReading = { readonly key: string } | { readonly problem: string };

/** A Structured Fields string (RFC 8941 §3.3.3), as the IETF draft has it. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"$/;

/** As most clients send it. No comma: two keys that something on the way has joined are not one. */
const BARE = /^[\x21\x23-\x2b\x2d-\x7e]+$/;

/**
 * Reads the key of a request.
 * @param values of the field, in order
 * @param maxLength in characters, quotes and escapes left out
 * @returns undefined where there is no such field
 * @see draft-ietf-httpapi-idempotency-key-header-07, §2.1
 */
export function readIdempotencyKey(values: readonly string[], maxLength: number): KeyReading | undefined {
  const [value, ...others] = values;
  if (value === undefined) return undefined;
  if (others.length > 0) return { problem: 'the request has more than one key' };
  const text = value.trim();
  const key = QUOTED.exec(text)?.[1]?.replace(/\\(["\\])/g, '$1') ?? (BARE.test(text) ? text : undefined);
  if (key === undefined) return { problem: 'the key is empty or has characters that no key may have' };
  return key.length > maxLength ? { problem: `the key is longer than ${maxLength} characters` } : { key };
}

/** The field's value for a key, as the draft has it. */
export const writtenKey = (key: string): string => `"${key.replace(/["\\]/g, '\\$&')}"`;

/** Digest of texts of which each stays itself: `a`, `b` and `ab` differ from `ab`, `` and `b`. */
export const digestOf = (...parts: readonly (string | undefined)[]): string =>
  createHash('sha256')
    .update(JSON.stringify(parts.map((part) => part ?? null)))
    .digest('hex');

/** Digest of a request's body: of no bytes where it has none. */
export const bodyDigest = (bytes: Uint8Array | null): string =>
  createHash('sha256')
    .update(bytes ?? Buffer.alloc(0))
    .digest('hex');
