// http-proxy-3 as a peer: the usual way to write a proxy in Node.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import type { Peer } from '../peer.ts'

const modules = path.join(import.meta.dirname, '..', '..', 'node_modules')

export const httpProxy: Peer = {
  name: 'http-proxy-3',
  program: null,
  version: async () => {
    const manifest: unknown = JSON.parse(readFileSync(path.join(modules, 'http-proxy-3', 'package.json'), 'utf8'))
    return String((manifest as { version?: string }).version)
  },
  command({ hasPolicies, routes, workers, port, upstreamPort, tls }) {
    if (hasPolicies || routes > 0 || workers > 1) return null
    const files = tls ? [tls.cert, tls.key] : []
    return [
      process.execPath,
      path.join(import.meta.dirname, 'http-proxy.mjs'),
      String(port),
      String(upstreamPort),
      ...files,
    ]
  },
}
