// HAProxy as a peer.

import type { Peer, Setup } from '../peer.ts'
import { printed, programPath } from '../process.ts'

export const haproxy: Peer = {
  name: 'HAProxy',
  program: 'haproxy',
  version: async () => /version (\S+)/.exec(await printed('haproxy', ['-v']))?.[1] ?? '?',
  command: setup => [programPath('haproxy'), '-db', '-f', setup.write('haproxy.cfg', config(setup))],
}

function config(setup: Setup): string {
  const { port, upstreamPort, tls, hasPolicies, routes, workers } = setup
  return `
global
  nbthread ${workers}
  maxconn 12000
  ulimit-n 19900
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 30s
  timeout http-keep-alive 600s
  http-reuse always
frontend f
  bind 127.0.0.1:${port}${tls ? ` ssl crt ${tls.both}` : ''} backlog 4096
  option forwardfor
  http-request set-header X-Forwarded-Proto ${tls ? 'https' : 'http'}
${hasPolicies ? policies : ''}${routes > 0 ? table(setup) : '  default_backend b'}
backend b
  server s 127.0.0.1:${upstreamPort}
`
}

/** A map file with one line for each route, all leading to the one backend. */
function table(setup: Setup): string {
  const lines = Array.from({ length: setup.routes }, (_, i) => `/r${i}/ b\n`)
  return `  use_backend %[path,map_beg(${setup.write('routes.map', lines.join(''))})]`
}

const policies = `  acl inside src 127.0.0.0/8 10.0.0.0/8
  http-request deny deny_status 403 unless inside
  http-request deny deny_status 413 if { req.body_size gt 1000000 }
  http-request deny deny_status 503 if { fe_conn gt 1000 }
  http-request set-var(txn.origin) req.hdr(Origin)
  http-request set-header X-Tenant shop
  http-response set-header Access-Control-Allow-Origin %[var(txn.origin)] if { var(txn.origin) -m str https://shop.example }
  http-response add-header Vary Origin
  http-response set-header X-Content-Type-Options nosniff
  http-response del-header X-Powered-By
`
