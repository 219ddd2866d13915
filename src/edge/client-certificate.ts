// Reads the certificate of a client from its TLS socket, once per connection.

import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { ClientCertificate } from '../core/call.ts'
import { certificatesIn } from './tls.ts'

/** The certificates of `clientCa` by the text of their subjects. */
export type Authorities = ReadonlyMap<string, readonly X509Certificate[]>

export function readAuthorities(pem: string): Authorities {
  const certificates = certificatesIn(pem).map(text => new X509Certificate(text))
  return Map.groupBy(certificates, ({ subject }) => subject)
}

/**
 * Null on plain sockets, for clients that showed none, and for a certificate that nobody vouches for, or only an authority
 * that took the name of another one: any that may make authorities below itself can do that.
 */
export function readClientCertificate(
  socket: Socket,
  keepsChain: boolean,
  authorities: Authorities,
): ClientCertificate | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return null
  // A session that resumes brings no chain, so that this must do without one.
  const named = authorities.get(certificate.issuer) ?? []
  const isIssuerKnown = named.some(({ publicKey }) => certificate.verify(publicKey))
  if (named.length > 0 && !isIssuerKnown) return null
  return describe(certificate, keepsChain ? chainOf(certificate) : [], isIssuerKnown)
}

/** What the client sent after its certificate, as it was sent; OpenSSL takes no more than 100 kB. */
function chainOf(certificate: X509Certificate): Buffer[] {
  const chain: Buffer[] = []
  for (let at = certificate.issuerCertificate; at !== undefined; at = at.issuerCertificate) chain.push(at.raw)
  return chain
}

function describe(certificate: X509Certificate, chain: readonly Buffer[], isIssuerKnown: boolean): ClientCertificate {
  const subject = oneLine(certificate.subject)
  return {
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    subject,
    issuer: oneLine(certificate.issuer),
    isIssuerKnown,
    serial: certificate.serialNumber,
    names: [...alternativeNames(certificate.subjectAltName ?? ''), ...commonNames(certificate.subject)],
    fromMs: Date.parse(certificate.validFrom),
    toMs: Date.parse(certificate.validTo),
    raw: certificate.raw,
    chain,
  }
}

/** Node gives one attribute per line, the most general first. */
function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').toReversed().join(',')
}

function commonNames(subject: string | undefined): string[] {
  return (subject ?? '').split('\n').flatMap(line => (line.startsWith('CN=') ? [`cn:${line.slice(3)}`] : []))
}

const kinds: Readonly<Record<string, string>> = { DNS: 'dns', URI: 'uri', email: 'email' }

/** Node quotes as JSON what a comma or quote stands in, so that no value can pretend to be two. */
function alternativeNames(text: string): string[] {
  const names: string[] = []
  for (const [, kind = '', written = ''] of text.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g)) {
    const known = kinds[kind]
    if (known === undefined) continue
    const value = written.startsWith('"') ? (JSON.parse(written) as string) : written
    names.push(`${known}:${known === 'dns' ? value.toLowerCase() : value}`)
  }
  return names
}
