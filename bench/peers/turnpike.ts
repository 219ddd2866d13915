// Turnpike itself.

import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import type { Peer, Setup } from '../peer.ts'
import { printed } from '../process.ts'
import { fillConsumers } from './consumers.ts'

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

function config(setup: Setup): object {
  const { port, upstreamPort, tls, hasPolicies, identity, isCaching, isResilient, protocol, routes, workers } = setup
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
    upstreams: {
      upstream: {
        targets: [`http://127.0.0.1:${upstreamPort}`],
        ...(protocol === 'grpc' && { protocol: 'http2' }),
        ...(isResilient && resilience),
      },
    },
    ...(hasPolicies && { policies }),
    ...(isCaching && { policies: [{ cache: { ttl: { '200': '10m' } } }] }),
    ...(identity !== null && guarded(setup, identity)),
    routes: matches.map(match => ({ match: { path: match }, forward: 'upstream' })),
  }
}

/** Nothing is late enough to be sent twice, and no call too many: what is measured is the watching. */
const resilience = {
  timeouts: { call: '5s' },
  ...{ health: {}, ejection: { successRate: {} }, slowStart: '30s', retry: {}, breaker: {} },
  adaptive: { min: 500 },
  hedge: { after: '1s', percentile: '95%' },
  deadlineHeader: 'x-envoy-expected-rq-timeout-ms',
}

function guarded(setup: Setup, identity: NonNullable<Setup['identity']>): object {
  const { folder } = setup
  // That of the config is watched, and would wake the main thread with each batch of lines.
  const logs = path.join(folder, 'logs')
  mkdirSync(logs)
  const accessLog = path.join(logs, 'access.log')
  if (identity.kind === 'token') {
    const jwt = {
      issuer: 'https://id.acme.test',
      audience: 'api',
      keys: { file: setup.write('jwks.json', identity.jwks) },
    }
    const limit = { limit: '1000000000/hour', by: { claim: 'sub' } }
    return {
      telemetry: { accessLog },
      policies: [{ jwt }, { 'rate-limit': limit }, { acl: { allow: { scopes: ['read'] } } }],
    }
  }
  const data = path.join(folder, 'data')
  mkdirSync(data, { mode: 0o700 })
  fillConsumers(data, identity.consumers)
  return {
    data,
    telemetry: { accessLog },
    policies: [
      { 'api-key': {} },
      { 'rate-limit': { limit: '1000000000/hour', by: 'consumer' } },
      { acl: { allow: { groups: ['gold'] } } },
    ],
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
