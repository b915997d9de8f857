/** Names for exchanges and for this sidecar. */
import { randomBytes } from 'node:crypto';

/** Pseudonym for Via and Proxy-Status: names this process, so that a loop is told from a chain of sidecars. */
export const newPseudonym = (): string => `outrigger-${randomBytes(4).toString('hex')}`;

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;

/** Random identifiers are drawn in bulk: one system call for many traces. */
const POOL_BYTES = 24 * 128;
let pool = '';
let poolAt = 0;

function randomHex(digits: number): string {
  if (poolAt + digits > pool.length) {
    pool = randomBytes(POOL_BYTES).toString('hex');
    poolAt = 0;
  }
  poolAt += digits;
  return pool.slice(poolAt - digits, poolAt);
}

/** 32 hexadecimal digits. */
export const newRequestId = (): string => randomHex(32);

export interface Trace {
  readonly traceId: string;
  /** The field to send when a new trace was started; undefined when the client's goes on as it is. */
  readonly started: string | undefined;
}

/**
 * Continues the client's trace or starts one (W3C Trace Context). A client's traceparent is passed on unchanged: as
 * long as we export no spans of our own, naming ourselves the parent would orphan the upstream's spans.
 */
export function traceOf(traceparent: string | undefined): Trace {
  const match = traceparent === undefined ? null : TRACEPARENT.exec(traceparent);
  if (match) {
    const [, version, traceId, parentId, , rest] = match as unknown as [
      string,
      string,
      string,
      string,
      string,
      string?,
    ];
    const valid =
      version !== 'ff' &&
      !ZEROS.test(traceId) &&
      !ZEROS.test(parentId) &&
      (version !== '00' || rest === undefined);
    if (valid) return { traceId, started: undefined };
  }
  const traceId = randomHex(32);
  return { traceId, started: `00-${traceId}-${randomHex(16)}-01` };
}
