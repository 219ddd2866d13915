// A service that takes calls from holders of a certificate of `gateways` alone, and says whom it talks to.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import path from 'node:path'
import process from 'node:process'
import type { TLSSocket } from 'node:tls'

const [port = '9443'] = process.argv.slice(2)
const read = (name: string) => readFileSync(path.join(import.meta.dirname, 'certs', name))

const server = https.createServer(
  {
    cert: read('ledger.pem'),
    key: read('ledger.key'),
    ca: read('gateways.pem'),
    requestCert: true,
    rejectUnauthorized: true,
  },
  (request, response) => {
    const gateway = (request.socket as TLSSocket).getPeerCertificate().subject.CN
    const field = request.headers['client-cert']
    // RFC 9440: a byte sequence between colons.
    const partner =
      typeof field === 'string'
        ? new X509Certificate(Buffer.from(field.slice(1, -1), 'base64')).subject.replace('CN=', '')
        : 'nobody'
    response.setHeader('content-type', 'application/json')
    response.end(`${JSON.stringify({ gateway, partner })}\n`)
  },
)
server.listen(Number(port), '127.0.0.1')
process.once('SIGTERM', () => process.exit(0))
