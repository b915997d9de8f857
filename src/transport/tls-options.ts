/** From a `tls` section to what connections take. */
import type { TlsTowards } from '../schema/tls.ts';
import type { TlsOptions } from './endpoint-transport.ts';

export function tlsOptionsOf({ caFile, certFile, keyFile, serverName }: TlsTowards): TlsOptions {
  return {
    ...(caFile && { ca: caFile.bytes.toString() }),
    ...(certFile && { cert: certFile.bytes.toString() }),
    ...(keyFile && { key: keyFile.bytes.toString() }),
    ...(serverName !== undefined && { serverName }),
  };
}
