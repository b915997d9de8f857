/** The request body of a run that goes on although its client may leave. */
import type { RequestBody } from '../core/exchange.ts';
import { independentBody } from '../streams/independent-body.ts';

export const runBody = (bytes: Uint8Array | null): RequestBody => independentBody(bytes);
