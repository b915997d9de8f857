/** How a server proves who it is to us, and we to it, for every section that names one; and how our own listeners do. */
import { z } from 'zod';
import { fileContents } from './file-contents.ts';

/** @param towards whom, for the description: `the upstream` */
export const tlsTowards = (towards: string) =>
  z
    .strictObject({
      caFile: fileContents.optional().describe('PEM file with the roots to trust instead of the system’s.'),
      certFile: fileContents.optional().describe('PEM file with the client certificate.'),
      keyFile: fileContents.optional().describe('PEM file with its private key.'),
      serverName: z
        .string()
        .optional()
        .describe('Name for SNI and for checking the certificate. Default: the host of the URL.'),
    })
    .refine((tls) => (tls.certFile === undefined) === (tls.keyFile === undefined), {
      error: 'expected certFile and keyFile together',
    })
    .describe(`TLS towards ${towards}.`);

/** @param whose for the description: `the registry’s listener` */
export const tlsOfListener = (whose: string) =>
  z
    .strictObject({
      certFile: fileContents.describe('PEM file with the certificate chain.'),
      keyFile: fileContents.describe('PEM file with the private key.'),
    })
    .describe(`TLS for ${whose}.`);

export type ListenerTls = z.output<ReturnType<typeof tlsOfListener>>;

export type TlsTowards = z.output<ReturnType<typeof tlsTowards>>;
