/** The Cache-Status field (RFC 9211): what a cache has done for an answer. */

/** Why a request was sent on. */
export type Forwarded =
  /** Nothing is kept for what is asked. */
  | 'uri-miss'
  /** Only for those who ask in another way. */
  | 'vary-miss'
  /** What is kept is not fresh. */
  | 'stale'
  /** The request wants it so. */
  | 'request';

export interface CacheStatus {
  /** Undefined for a hit. */
  readonly fwd?: Forwarded;
  /** Status of the upstream's answer, where it is not that of this one. */
  readonly fwdStatus?: number;
  /** Freshness left; below 0 for what is stale. */
  readonly ttlMs?: number;
  readonly stored?: boolean;
  /** The answer to somebody else's request for the same. */
  readonly collapsed?: boolean;
  /** By which an operator can let go of it. */
  readonly key?: string;
  /** One word on why. */
  readonly detail?: string;
}

const NAME = 'outrigger';

export function cacheStatus({ fwd, fwdStatus, ttlMs, stored, collapsed, key, detail }: CacheStatus): string {
  let field = fwd === undefined ? `${NAME}; hit` : `${NAME}; fwd=${fwd}`;
  if (fwdStatus !== undefined) field += `; fwd-status=${fwdStatus}`;
  if (ttlMs !== undefined) field += `; ttl=${Math.floor(ttlMs / 1_000)}`;
  if (stored === true) field += '; stored';
  if (collapsed === true) field += '; collapsed';
  if (key !== undefined) field += `; key="${key}"`;
  if (detail !== undefined) field += `; detail=${detail}`;
  return field;
}
