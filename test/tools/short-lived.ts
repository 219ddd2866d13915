// Clients whose certificate is over soon.

import { generateKeyPairSync } from 'node:crypto'
import { type Authority, type Certificate, certify } from '../../examples/tls/certificate.ts'

export function shortLived(by: Authority, lifeMs: number): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const [from, until] = [new Date(Date.now() - 60_000), new Date(Date.now() + lifeMs)]
  return {
    cert: certify(by, publicKey.export({ type: 'spki', format: 'pem' }), ['short.test'], from, until),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
}
