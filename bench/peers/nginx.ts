// nginx as a peer, and as the upstream of every proxy.

import type { Peer, Setup } from '../peer.ts'
import { printed, programPath } from '../process.ts'

export const nginx: Peer = {
  name: 'nginx',
  program: 'nginx',
  version: async () => /nginx\/(\S+)/.exec(await printed('nginx', ['-v']))?.[1] ?? '?',
  command: setup => start(setup.write('nginx.conf', config(setup)), setup),
}

function start(file: string, setup: Setup): string[] {
  return [programPath('nginx'), '-p', setup.folder, '-c', file, '-e', `${setup.folder}/error.log`]
}

/** What every nginx here shares: one worker, no log, temporary files in its own folder. */
export function frame(setup: Pick<Setup, 'folder'> & { workers: number }, http: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
    worker_processes ${setup.workers}; worker_rlimit_nofile 20000; daemon off;
    pid ${setup.folder}/nginx.pid; error_log ${setup.folder}/error.log crit;
    events { worker_connections 19000; multi_accept on; }
    http {
      access_log off; server_tokens off; tcp_nodelay on;
      keepalive_requests 1000000000; keepalive_timeout 600s;
      ${temporary.map(name => `${name}_temp_path ${setup.folder}/${name};`).join(' ')}
      ${http}
    }`
}

function config(setup: Setup): string {
  const { port, upstreamPort, tls, hasPolicies, isCaching, protocol, routes } = setup
  const secure = tls ? `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};` : ''
  const pass = protocol === 'grpc' ? 'grpc_pass grpc://upstream;' : 'proxy_pass http://upstream;'
  const locations = Array.from({ length: routes }, (_, i) => `location /r${i}/ { ${pass} }`)
  return frame(
    setup,
    `
    upstream upstream { server 127.0.0.1:${upstreamPort}; keepalive 128; keepalive_requests 1000000000; }
    ${hasPolicies ? policyTables : ''}
    ${isCaching ? `proxy_cache_path ${setup.folder}/cache keys_zone=replies:10m max_size=64m;` : ''}
    server {
      listen 127.0.0.1:${port} ${tls ? 'ssl' : ''} ${protocol === 'http1' ? '' : 'http2'} backlog=4096; ${secure}
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_request_buffering off; client_max_body_size ${hasPolicies ? '1m' : '0'};
      ${hasPolicies ? policyRules : ''}
      ${isCaching ? caching : ''}
      ${routes > 0 ? locations.join('\n') : `location / { ${pass} }`}
    }`,
  )
}

/** As Turnpike keeps them: one question for all who wait, and the descriptors of what is kept stay open. */
const caching = `
  proxy_cache replies; proxy_cache_valid 200 10m; proxy_cache_lock on; open_file_cache max=1000;`

const policyTables = `
  map $http_origin $cors { default ""; https://shop.example $http_origin; }
  limit_conn_zone $server_name zone=calls:1m;`

const policyRules = `
  allow 127.0.0.0/8; allow 10.0.0.0/8; deny all;
  limit_conn calls 1000;
  add_header Access-Control-Allow-Origin $cors; add_header Vary Origin;
  add_header X-Content-Type-Options nosniff; proxy_hide_header X-Powered-By;
  proxy_set_header X-Tenant shop;`
