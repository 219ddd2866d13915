// Caddy as a peer. It has no limit on concurrent calls, so it does four of the five policies.

import type { Peer, Setup } from '../peer.ts'
import { printed, programPath } from '../process.ts'

export const caddy: Peer = {
  name: 'Caddy',
  program: 'caddy',
  version: async () => (await printed('caddy', ['version'])).trim().split(' ')[0] ?? '?',
  command(setup) {
    // Its matchers are tried one after the other: ten thousand of them would only show that.
    if (setup.routes > 0) return null
    const file = setup.write('Caddyfile', config(setup))
    const environment = [`HOME=${setup.folder}`, `XDG_DATA_HOME=${setup.folder}`, `GOMAXPROCS=${setup.workers}`]
    return ['/usr/bin/env', ...environment, programPath('caddy'), 'run', '--config', file, '--adapter', 'caddyfile']
  },
}

function config({ port, upstreamPort, tls, hasPolicies }: Setup): string {
  return `{
  admin off
  auto_https off
  log {
    output discard
  }
  servers {
    protocols h1
    timeouts {
      idle 10m
    }
  }
}
${tls ? 'https' : 'http'}://:${port} {
  bind 127.0.0.1
  ${tls ? `tls ${tls.cert} ${tls.key}` : ''}
  ${hasPolicies ? policies : ''}
  reverse_proxy 127.0.0.1:${upstreamPort} {
    transport http {
      keepalive_idle_conns_per_host 128
    }
  }
}
`
}

const policies = `@outside not remote_ip 127.0.0.0/8 10.0.0.0/8
  respond @outside 403
  request_body {
    max_size 1MB
  }
  @page header Origin https://shop.example
  header @page Access-Control-Allow-Origin https://shop.example
  header +Vary Origin
  header X-Content-Type-Options nosniff
  header -X-Powered-By
  request_header X-Tenant shop`
