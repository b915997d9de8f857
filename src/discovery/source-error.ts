/** What went wrong between the sidecar and a server that it asks for keys, instances or leases. */

/** The message is fit for a log line: never with a token or a password. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
  /** Of the answer; undefined where there was none, or a broken one. */
  readonly status: number | undefined;

  constructor(message: string, status?: number, cause?: unknown) {
    super(message, { cause });
    this.status = status;
  }
}
