// A certificate with its key, as it is kept: judged before it is served.

import { createPrivateKey, X509Certificate } from 'node:crypto'

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

/** From when to when a pair is good for a name. @throws Error that says why it is not: texts that are none, another key, another name */
export function judgePair({ cert, key }: Pair, name: string): Validity {
  const certificate = new X509Certificate(cert)
  if (!certificate.checkPrivateKey(createPrivateKey(key))) throw new Error('the certificate is not of this key')
  if (certificate.checkHost(name, { subject: 'never' }) === undefined) {
    throw new Error(`the certificate is not of the name ${name}`)
  }
  return { fromMs: Date.parse(certificate.validFrom), toMs: Date.parse(certificate.validTo) }
}
