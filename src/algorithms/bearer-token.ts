/** Whether a request carries the token that it must. */
import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Compares digests, so that neither the place of a difference nor the length shows in the time it takes.
 *
 * @param authorization the field of the request
 * @param token undefined: none is right
 */
export function bearsToken(authorization: string | undefined, token: string | undefined): boolean {
  const sent = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  return token !== undefined && sent !== undefined && timingSafeEqual(digest(sent), digest(token));
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
