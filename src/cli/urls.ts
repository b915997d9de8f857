/** Addresses as URLs that work from this machine. */

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Takes a valid `host:port` apart; brackets around IPv6 go. */
export function parseAddress(text: string): Address {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

/** `http://host:port`; a wildcard host is reached over loopback. */
export function httpUrl({ host, port }: Address, scheme: 'http' | 'https' = 'http'): string {
  const wildcard = host === '0.0.0.0' || host === '*' || host === '';
  const reachable = wildcard
    ? '127.0.0.1'
    : /^(0*:)+0*$/.test(host)
      ? '[::1]'
      : host.includes(':')
        ? `[${host}]`
        : host;
  return `${scheme}://${reachable}:${port}`;
}
