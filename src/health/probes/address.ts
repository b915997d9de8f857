/** Where a probe connects to. */

export interface ProbeAddress {
  /** Name or address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * @param origin `http://host:port` or `https://host:port`
 * @param port another port of the same host, such as one for management. Default: the origin's.
 */
export function addressOf(origin: string, port?: number): ProbeAddress {
  const url = new URL(origin);
  const own = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: port ?? own };
}
