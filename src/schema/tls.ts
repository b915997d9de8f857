/** How a server proves who it is to us, and we to it. For every section that names a server. */
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

export type TlsTowards = z.output<ReturnType<typeof tlsTowards>>;
