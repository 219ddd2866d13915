// Turnpike itself.

import { existsSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import type { Peer, Setup } from '../peer.ts'
import { printed } from '../process.ts'

const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts')

export const turnpike: Peer = {
  name: 'Turnpike',
  program: null,
  version: async () => (existsSync(main) ? (await printed(process.execPath, [main, '--version'])).trim() : '?'),
  command(setup) {
    if (!existsSync(main)) return null
    // JSON is YAML, and the file is read as the file of any user.
    return [process.execPath, main, 'run', setup.write('turnpike.yaml', JSON.stringify(config(setup), null, 1))]
  },
}

function config({ port, upstreamPort, tls, hasPolicies, routes, workers }: Setup): object {
  const matches = routes > 0 ? Array.from({ length: routes }, (_, i) => `/r${i}/**`) : ['/**']
  const listener = {
    port,
    host: '127.0.0.1',
    timeouts: { idle: '10m' },
    ...(tls && { tls: { certificates: [{ cert: tls.cert, key: tls.key }] } }),
  }
  return {
    listeners: [listener],
    workers,
    upstreams: { upstream: { targets: [`http://127.0.0.1:${upstreamPort}`] } },
    ...(hasPolicies && { policies }),
    routes: matches.map(match => ({ match: { path: match }, forward: 'upstream' })),
  }
}

const policies = [
  { cors: { origins: ['https://shop.example'] } },
  { ip: { allow: ['127.0.0.0/8', '10.0.0.0/8'] } },
  {
    headers: {
      request: { set: { 'x-tenant': 'shop' } },
      reply: { set: { 'x-content-type-options': 'nosniff' }, remove: ['x-powered-by'] },
    },
  },
  { 'body-limit': '1MB' },
  { concurrency: 1000 },
]
