// A proxy with http-proxy-3: node http-proxy.mjs PORT UPSTREAM-PORT [CERT KEY].

import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import process from 'node:process'
import { createProxyServer } from 'http-proxy-3'

const [port, upstreamPort, cert, key] = process.argv.slice(2)
const proxy = createProxyServer({
  target: `http://127.0.0.1:${upstreamPort}`,
  agent: new http.Agent({ keepAlive: true, maxSockets: 256 }),
  xfwd: true,
})
proxy.on('error', (_error, _request, response) => response.destroy())

const answer = (request, response) => proxy.web(request, response)
const server = cert
  ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, answer)
  : http.createServer(answer)
server.keepAliveTimeout = 600_000
server.listen(Number(port), '127.0.0.1', 4096)
