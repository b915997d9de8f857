/** HAProxy as a plain reverse proxy: one thread, keep-alive to the upstream, no log. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasTool } from '../lab/machine.ts';
import type { Peer, Site } from './peer.ts';

function config(site: Site): string {
  return `global
  nbthread 1
  maxconn 8000

defaults
  mode http
  option http-keep-alive
  # Without it every chunk of a stream waits 200 ms for company.
  option http-no-delay
  option abortonclose
  http-reuse always
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  timeout http-keep-alive 75s

listen bench
  bind 127.0.0.1:${site.port} backlog 4096
  server upstream 127.0.0.1:${site.upstreamPort} pool-max-conn 2048
`;
}

export const haproxyPeer: Peer = {
  name: 'haproxy',
  missing: hasTool('haproxy') ? undefined : 'haproxy is not installed',
  compilesWhileRunning: false,
  prepare: (site) => {
    const file = join(site.directory, 'haproxy.cfg');
    writeFileSync(file, config(site));
    return { command: 'haproxy', args: ['-db', '-f', file] };
  },
};
