/** What a Host field says about how the client came to know this address. */
import { isIP, isIPv4 } from 'node:net';

/** The host of a Host field in lower case, without port, brackets and final dot; undefined when it is none. */
export function hostNameOf(field: string | undefined): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^\s:/?#@[\].][^\s:/?#@[\]]*?)\.?)(?::\d{1,5})?$/i.exec(field ?? '');
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

/** An address of this machine only, or a name that by RFC 6761 §6.3 never means another. */
export function isLoopback(host: string): boolean {
  if (isIPv4(host)) return host.startsWith('127.');
  return host === '::1' || host === 'localhost' || host.endsWith('.localhost');
}

/**
 * Whether the owner of some domain could have made this host point here. Names can be pointed anywhere; addresses, and
 * the loopback names, cannot.
 */
export const isRebindable = (host: string): boolean => isIP(host) === 0 && !isLoopback(host);
