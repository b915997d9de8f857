/** Certificates that cannot be used are mistakes in the configuration, not surprises at the first handshake. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { FileContents } from '../schema/file-contents.ts';
import type { CheckProblem } from './load.ts';
import type { Path } from './path.ts';
import type { Config } from './schema.ts';

export function checkTls({ server, upstreams }: Config): CheckProblem[] {
  const problems = server.tls ? checkPair(['server', 'tls'], server.tls) : [];
  for (const [name, { tls }] of Object.entries(upstreams)) {
    const path = ['upstreams', name, 'tls'];
    if (tls.caFile) problems.push(...checkRoots([...path, 'caFile'], tls.caFile));
    if (tls.certFile && tls.keyFile) problems.push(...checkPair(path, tls as CertificateAndKey));
  }
  return problems;
}

interface CertificateAndKey {
  readonly certFile: FileContents;
  readonly keyFile: FileContents;
}

/** A chain with its key; says which of the two is no good, or that they do not belong together. */
function checkPair(path: Path, { certFile, keyFile }: CertificateAndKey): CheckProblem[] {
  const cert = reasonAgainst(() => createSecureContext({ cert: certFile.bytes }));
  const key = reasonAgainst(() => createSecureContext({ key: keyFile.bytes }));
  const problems: CheckProblem[] = [];
  if (cert) problems.push(unusable([...path, 'certFile'], 'a PEM certificate chain', certFile, cert));
  if (key) problems.push(unusable([...path, 'keyFile'], 'a PEM private key', keyFile, key));
  if (problems.length > 0) return problems;
  const both = reasonAgainst(() => createSecureContext({ cert: certFile.bytes, key: keyFile.bytes }));
  return both ? [unusable([...path, 'keyFile'], 'the key of the certificate', keyFile, both)] : [];
}

function checkRoots(path: Path, file: FileContents): CheckProblem[] {
  const reason = reasonAgainst(() => new X509Certificate(file.bytes));
  return reason ? [unusable(path, 'PEM certificates', file, reason)] : [];
}

function reasonAgainst(use: () => unknown): string | undefined {
  try {
    use();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const unusable = (path: Path, expected: string, { path: file }: FileContents, why: string): CheckProblem => ({
  path,
  message: `expected ${expected}, got ${file}: ${why}`,
});
