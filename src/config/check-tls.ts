/** Certificates that cannot be used are mistakes in the configuration, not surprises at the first handshake. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { FileContents } from '../schema/file-contents.ts';
import type { ListenerTls, TlsTowards } from '../schema/tls.ts';
import type { CheckProblem } from './load.ts';
import type { Path } from './path.ts';
import type { Config } from './schema.ts';

export function checkTls({ server, upstreams, state, registry, agent }: Config): CheckProblem[] {
  const problems = server.tls ? checkPair(['server', 'tls'], server.tls) : [];
  if (registry?.tls) problems.push(...checkPair(['registry', 'tls'], registry.tls));
  for (const kind of ['registry', 'consul', 'etcd'] as const) {
    const target = agent?.register?.[kind];
    if (target) problems.push(...checkTowards(['agent', 'register', kind, 'tls'], target.tls));
  }
  for (const [name, { tls }] of Object.entries(upstreams))
    problems.push(...checkTowards(['upstreams', name, 'tls'], tls));
  if (typeof state.redis === 'object')
    problems.push(...checkTowards(['state', 'redis', 'tls'], state.redis.tls));
  return problems;
}

function checkTowards(path: Path, tls: TlsTowards): CheckProblem[] {
  const roots = tls.caFile ? checkRoots([...path, 'caFile'], tls.caFile) : [];
  const own = tls.certFile && tls.keyFile ? checkPair(path, tls as ListenerTls) : [];
  return [...roots, ...own];
}

/** A chain with its key; says which of the two is no good, or that they do not belong together. */
function checkPair(path: Path, { certFile, keyFile }: ListenerTls): CheckProblem[] {
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
