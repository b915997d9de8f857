/** A client of a source's own, with the certificates that its section of the configuration names. */
import type { Clock } from '../core/clock.ts';
import type { TlsTowards } from '../schema/tls.ts';
import { HttpClient } from '../transport/http-client.ts';

/** Contacts nobody before it is asked to. */
export function clientOf(clock: Clock, { caFile, certFile, keyFile, serverName }: TlsTowards): HttpClient {
  return new HttpClient({
    clock,
    tls: {
      ...(caFile && { ca: caFile.bytes.toString() }),
      ...(certFile && { cert: certFile.bytes.toString() }),
      ...(keyFile && { key: keyFile.bytes.toString() }),
      ...(serverName !== undefined && { serverName }),
    },
  });
}

/** Origins without a slash at the end, as requests are written from. */
export const originsOf = (urls: readonly string[]): string[] => urls.map((url) => new URL(url).origin);
