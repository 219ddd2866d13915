// A certificate with its key, as it is kept: judged before it is served.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

/** PEM texts. */
export interface Pair {
  /** The certificate, then its chain. */
  readonly cert: string
  readonly key: string
}

export interface Validity {
  /** Milliseconds since the Unix epoch. */
  readonly fromMs: number
  readonly toMs: number
}

/** More than any honest chain has; many clients take no chain of 100 kB. */
const chainCharactersMax = 64_000

/** The certificates in a text, and nothing else of it. */
export function certificatesIn(text: string): string {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.map(block => `${block}\n`).join('')
}

/**
 * From when to when a pair is good for a name. A pair that passes is one that listeners can serve.
 * @throws Error that says why it is not: texts that are none, also in the chain; another key; another name
 */
export function judgePair({ cert, key }: Pair, name: string): Validity {
  if (cert.length > chainCharactersMax) {
    throw new Error(`the certificate and its chain are longer than ${chainCharactersMax} characters`)
  }
  const certificate = new X509Certificate(cert)
  if (!certificate.checkPrivateKey(createPrivateKey(key))) throw new Error('the certificate is not of this key')
  if (certificate.checkHost(name, { subject: 'never' }) === undefined) {
    throw new Error(`the certificate is not of the name ${name}`)
  }
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    throw new Error(`the certificate cannot be served: ${(error as Error).message}`, { cause: error })
  }
  return { fromMs: Date.parse(certificate.validFrom), toMs: Date.parse(certificate.validTo) }
}
