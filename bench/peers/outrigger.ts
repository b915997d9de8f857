/** Outrigger itself, as a user would run it, from the template beside this folder. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer, Site } from './peer.ts';

const root = join(import.meta.dirname, '..', '..');
const template = join(root, 'bench', 'outrigger.bench.yaml');

function config(site: Site, dialect: string): string {
  return readFileSync(template, 'utf8')
    .replaceAll('__PORT__', String(site.port))
    .replaceAll('__ADMIN_PORT__', String(site.adminPort))
    .replaceAll('__UPSTREAM_PORT__', String(site.upstreamPort))
    .replaceAll('__DIRECTORY__', site.directory)
    .replaceAll('__DIALECT__', dialect);
}

/** @param entry the file to run, relative to the project root */
export const outriggerPeer = (entry: string): Peer => peerWith(entry, 'outrigger', 'generic');

/** The same with a dialect that follows what passes. */
export const tappedPeer = (entry: string): Peer => peerWith(entry, 'tapped', 'openai');

function peerWith(entry: string, name: Peer['name'], dialect: string): Peer {
  const file = join(root, entry);
  return {
    name,
    missing: existsSync(file) ? undefined : `${entry} does not exist`,
    compilesWhileRunning: true,
    prepare: (site) => {
      const configFile = join(site.directory, 'outrigger.yaml');
      writeFileSync(configFile, config(site, dialect));
      return {
        command: process.execPath,
        args: [file, 'run', '--config', configFile],
        ready: { port: site.adminPort, path: '/ready' },
      };
    },
  };
}
