// TLS of a listener: one context per certificate, chosen by the name the client asks for.

import { constants, X509Certificate } from 'node:crypto'
import tls, { type SecureContext } from 'node:tls'
import { cipherText } from '../core/ciphers.ts'
import type { TlsBlueprint } from '../core/listener-schema.ts'

/** Contexts of one listener; replaced whole when the config changes. */
export interface Certificates {
  /** For clients that ask for no name, or an unknown one: the first certificate; null where there is none yet. */
  readonly fallbackPem: { readonly cert: string; readonly key: string } | null
  /** Undefined where there is no certificate at all: the handshake fails. */
  contextFor(serverName: string): SecureContext | undefined
}

/** Throws an Error that names the file where a certificate or key cannot be used. `files` holds PEM texts by path. */
export function loadCertificates(blueprint: TlsBlueprint, files: Readonly<Record<string, string>>): Certificates {
  const byName = new Map<string, SecureContext>()
  let fallback: SecureContext | undefined
  for (const { cert, key } of blueprint.certificates) {
    const context = createContext(cert, key, blueprint, files)
    fallback ??= context
    for (const name of namesOf(cert, files)) if (!byName.has(name)) byName.set(name, context)
  }
  const first = fallback
  const [pair] = blueprint.certificates
  return {
    fallbackPem: pair === undefined ? null : { cert: files[pair.cert] ?? '', key: files[pair.key] ?? '' },
    contextFor(serverName) {
      const name = serverName.toLowerCase()
      const dot = name.indexOf('.')
      return byName.get(name) ?? (dot === -1 ? undefined : byName.get(`*${name.slice(dot)}`)) ?? first
    },
  }
}

function createContext(
  cert: string,
  key: string,
  blueprint: TlsBlueprint,
  files: Readonly<Record<string, string>>,
): SecureContext {
  try {
    return tls.createSecureContext({
      cert: files[cert] ?? '',
      key: files[key] ?? '',
      ...handshakeOptions(blueprint),
      ...clientTrust(blueprint, files),
    })
  } catch (error) {
    throw new Error(`the certificate ${cert} with the key ${key} cannot be used: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** What is agreed to, the same whatever certificate is shown. */
export function handshakeOptions({ minVersion, ciphers, clientCa }: TlsBlueprint): tls.SecureContextOptions {
  return {
    minVersion: minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    ciphers: cipherText(ciphers),
    honorCipherOrder: true,
    // RFC 9440 §3.1: the chain is not part of a session, and a field that is there on some connections only is worse than none.
    ...(clientCa?.chain === true && { secureOptions: constants.SSL_OP_NO_TICKET }),
  }
}

/** What client certificates are judged by; nothing where none are asked for. */
export function clientTrust(
  { clientCa }: TlsBlueprint,
  files: Readonly<Record<string, string>>,
): { readonly ca?: string; readonly crl?: string } {
  if (clientCa === null) return {}
  return { ca: files[clientCa.file] ?? '', ...(clientCa.crl !== null && { crl: files[clientCa.crl] ?? '' }) }
}

/** @throws Error where the two do not belong together, or cannot be read. */
export function checkPair(cert: string, key: string, read: (path: string) => string): void {
  try {
    tls.createSecureContext({ cert: read(cert), key: read(key) })
  } catch (error) {
    throw new Error(`the certificate ${cert} with the key ${key} cannot be used: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** Each certificate of a PEM file, as PEM. */
export function certificatesIn(pem: string): readonly string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
}

/** @throws Error where a file of `clientCa` holds no certificate, or no revocation list, that can be read. */
export function checkClientTrust(blueprint: TlsBlueprint, files: Readonly<Record<string, string>>): void {
  const { clientCa } = blueprint
  if (clientCa === null) return
  const blocks = certificatesIn(files[clientCa.file] ?? '')
  if (blocks.length === 0) throw new Error(`${clientCa.file} holds no PEM certificate`)
  for (const block of blocks) {
    try {
      // A store of authorities passes over what it cannot read without a word.
      void new X509Certificate(block)
    } catch (error) {
      throw new Error(`${clientCa.file} holds a certificate that cannot be read: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }
  try {
    tls.createSecureContext(clientTrust(blueprint, files))
  } catch (error) {
    throw new Error(`the revocation lists ${clientCa.crl} cannot be used: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function namesOf(cert: string, files: Readonly<Record<string, string>>): string[] {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(files[cert] ?? '')
  } catch (error) {
    throw new Error(`${cert} holds no PEM certificate: ${(error as Error).message}`, { cause: error })
  }
  const alternative = certificate.subjectAltName ?? ''
  const names = [...alternative.matchAll(/DNS:([^,\s]+)/g)].map(match => (match[1] as string).toLowerCase())
  if (names.length > 0) return names
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1]
  return common === undefined ? [] : [common.toLowerCase()]
}
