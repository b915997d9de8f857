/** What went wrong with Redis, in one word that holds no secret. */

const KNOWN: Readonly<Record<string, string>> = {
  SocketClosedUnexpectedlyError: 'closed',
  DisconnectsClientError: 'closed',
  ClientClosedError: 'closed',
  ClientOfflineError: 'closed',
  ConnectionTimeoutError: 'timeout',
  SocketTimeoutError: 'timeout',
};

/** The network's code (`ECONNREFUSED`), or the first word of Redis's answer (`WRONGPASS`, `READONLY`, `OOM`). */
export function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code } = error as { readonly code?: unknown };
  if (typeof code === 'string' && /^[A-Z0-9_]{1,60}$/.test(code)) return code;
  // Only the word: what follows may quote what was sent.
  return (
    /^-?([A-Z][A-Z0-9]{1,30})(?: |$)/.exec(error.message)?.[1] ?? KNOWN[error.constructor.name] ?? 'unknown'
  );
}
