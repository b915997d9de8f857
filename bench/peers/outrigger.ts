/** Outrigger itself, as a user would run it, from the template beside this folder. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer, Site } from './peer.ts';
import { policyLine, pricedNames } from './priced.ts';

const root = join(import.meta.dirname, '..', '..');
const template = join(root, 'bench', 'outrigger.bench.yaml');

interface Variant {
  readonly name: Peer['name'];
  readonly dialect: string;
  /** A further line under `policies`. */
  readonly policy?: string;
}

function config(site: Site, { dialect, policy = '# none' }: Variant): string {
  return readFileSync(template, 'utf8')
    .replaceAll('__PORT__', String(site.port))
    .replaceAll('__ADMIN_PORT__', String(site.adminPort))
    .replaceAll('__UPSTREAM_PORT__', String(site.upstreamPort))
    .replaceAll('__DIRECTORY__', site.directory)
    .replaceAll('__DIALECT__', dialect)
    .replaceAll('# __POLICY__', policy);
}

/** @param entry the file to run, relative to the project root */
export const outriggerPeer = (entry: string): Peer =>
  peerWith(entry, { name: 'outrigger', dialect: 'generic' });

/** The same with a dialect that follows what passes. */
export const tappedPeer = (entry: string): Peer => peerWith(entry, { name: 'tapped', dialect: 'openai' });

/** The same with one more policy each. */
export const pricedPeers = (entry: string): Peer[] =>
  pricedNames.map((name) => peerWith(entry, { name, dialect: 'generic', policy: policyLine(name) }));

function peerWith(entry: string, variant: Variant): Peer {
  const file = join(root, entry);
  return {
    name: variant.name,
    missing: existsSync(file) ? undefined : `${entry} does not exist`,
    compilesWhileRunning: true,
    prepare: (site) => {
      const configFile = join(site.directory, 'outrigger.yaml');
      writeFileSync(configFile, config(site, variant));
      return {
        command: process.execPath,
        args: [file, 'run', '--config', configFile],
        ready: { port: site.adminPort, path: '/ready' },
      };
    },
  };
}
