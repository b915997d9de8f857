/** What an upstream's configuration means for the connections to its endpoints. */
import type { UpstreamConfig } from '../config/schema.ts';
import type { TlsOptions, TransportOptions } from '../transport/endpoint-transport.ts';

/** The connect backstop of a transport whose attempts have no bound of their own. */
const DEFAULT_CONNECT_MS = 10_000;

export function transportOptionsOf(config: UpstreamConfig): TransportOptions {
  const { keepAlive, maxResponseHead, http2, preserveHost } = config;
  return {
    connectTimeoutMs: connectTimeoutMs(config),
    keepAliveMs: keepAlive,
    maxResponseHeadBytes: maxResponseHead,
    http2,
    preserveHost,
    tls: tlsOf(config),
  };
}

/** Attempts have timers of their own: the longest of them must not be cut short. */
function connectTimeoutMs({ policies, overrides }: UpstreamConfig): number {
  const own = (policies as Readonly<Record<string, unknown>>)['attemptTimeout'];
  const variants = Object.values(overrides).map((one) => one.policies['attemptTimeout']);
  const all = [own, ...variants].filter((one) => one !== undefined);
  const bounds = (all as (false | { connect: number | false })[]).map((one) => one && one.connect);
  return Math.max(...bounds.map((bound) => (bound === false ? DEFAULT_CONNECT_MS : bound)));
}

export function tlsOf({ tls: { caFile, certFile, keyFile, serverName } }: UpstreamConfig): TlsOptions {
  return {
    ...(caFile && { ca: caFile.bytes.toString() }),
    ...(certFile && { cert: certFile.bytes.toString() }),
    ...(keyFile && { key: keyFile.bytes.toString() }),
    ...(serverName !== undefined && { serverName }),
  };
}
