/** nginx as a plain reverse proxy: one worker, keep-alive to the upstream, nothing spilled to disk, no log. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasTool } from '../lab/machine.ts';
import type { Peer, Site } from './peer.ts';

/** Parts that nginx as a peer and nginx as an upstream share: files in our own directory, ample limits. */
export function nginxConfig(directory: string, server: string): string {
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${join(directory, 'nginx.pid')};
error_log ${join(directory, 'error.log')} error;
events { worker_connections 8192; }
http {
  access_log off;
  default_type application/json;
  client_body_temp_path ${join(directory, 'body')};
  proxy_temp_path ${join(directory, 'proxy')};
  fastcgi_temp_path ${join(directory, 'fastcgi')};
  uwsgi_temp_path ${join(directory, 'uwsgi')};
  scgi_temp_path ${join(directory, 'scgi')};
  keepalive_requests 100000000;
  keepalive_timeout 75s;
  tcp_nodelay on;
${server}
}
`;
}

function proxyServer(site: Site): string {
  return `  client_max_body_size 0;
  client_body_buffer_size 64k;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  proxy_max_temp_file_size 0;
  proxy_read_timeout 120s;
  upstream bench {
    server 127.0.0.1:${site.upstreamPort};
    keepalive 512;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${site.port} backlog=4096;
    location / { proxy_pass http://bench; }
    location /sse/ { proxy_buffering off; proxy_pass http://bench; }
    location /upload { proxy_request_buffering off; proxy_pass http://bench; }
  }`;
}

export const nginxPeer: Peer = {
  name: 'nginx',
  missing: hasTool('nginx') ? undefined : 'nginx is not installed',
  compilesWhileRunning: false,
  prepare: (site) => {
    const file = join(site.directory, 'nginx.conf');
    writeFileSync(file, nginxConfig(site.directory, proxyServer(site)));
    return { command: 'nginx', args: ['-p', site.directory, '-e', 'stderr', '-c', file] };
  },
};
