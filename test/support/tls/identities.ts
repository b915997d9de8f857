/** The committed test certificates, as Node options. Test-only: see README.md here. */
import { readFileSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';

/** `client` is good for clients only: a server that shows it is none. */
export type ServerIdentity = 'server' | 'expired' | 'wrong-host' | 'self-signed' | 'client';

export interface UpstreamTls {
  /** Default `server`: correct for 127.0.0.1 and localhost, signed by `testCa`. */
  readonly identity?: ServerIdentity;
  /** Demand a client certificate signed by `testCa`. Default false. */
  readonly requireClientCertificate?: boolean;
}

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** Absolute path of a file here, for configurations that name files: `ca.cert.pem`, `client.key.pem`, … */
export function tlsFile(name: string): string {
  return `${import.meta.dirname}/${name}`;
}

/** The authority to trust in tests, as PEM. */
export const testCa: string = read('ca.cert.pem');

/** What a client presents to an upstream with `requireClientCertificate`. */
export function clientIdentity(): Identity {
  return identity('client');
}

export function serverTlsOptions(tls: UpstreamTls): TlsOptions {
  const required = tls.requireClientCertificate ?? false;
  return {
    ...identity(tls.identity ?? 'server'),
    ALPNProtocols: ['http/1.1'],
    ...(required && { ca: testCa, requestCert: true, rejectUnauthorized: true }),
  };
}

function identity(name: ServerIdentity): Identity {
  return { cert: read(`${name}.cert.pem`), key: read(`${name}.key.pem`) };
}

function read(name: string): string {
  return readFileSync(tlsFile(name), 'utf8');
}
