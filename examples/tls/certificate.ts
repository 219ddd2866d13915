// Makes certificates for trying things out: ECDSA P-256, DER by hand (RFC 5280), nothing but node:crypto.

import { createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

export interface Certificate {
  /** PEM. */
  readonly cert: string
  /** PEM, PKCS #8. */
  readonly key: string
}

/** What signs another certificate. */
export interface Authority extends Certificate {
  /** Its common name. */
  readonly name: string
}

/** A certificate for these DNS names, valid for thirty days. */
export function selfSigned(names: readonly string[], now = new Date()): Certificate {
  return make({ names, by: null, isAuthority: true, ...thirtyDaysAround(now) })
}

/** A certificate that signs others: a root, or one below `by`. */
export function authority(name: string, by: Authority | null = null): Authority {
  return { ...make({ names: [name], by, isAuthority: true, ...thirtyDaysAround(new Date()) }), name }
}

/** A certificate for these DNS names that an authority vouches for; an expired one where `now` is more than thirty days ago. */
export function signedBy(by: Authority, names: readonly string[], now = new Date()): Certificate {
  return make({ names, by, isAuthority: false, ...thirtyDaysAround(now) })
}

/** A certificate for somebody else's key (PEM), whose time is given. */
export function certify(by: Authority, publicKey: string, names: readonly string[], from: Date, until: Date): string {
  return make({ names, by, isAuthority: false, from, until, publicKey }).cert
}

interface Wanted {
  readonly names: readonly string[]
  /** Null: itself. */
  readonly by: Authority | null
  readonly isAuthority: boolean
  readonly from: Date
  readonly until: Date
  /** PEM; a new one where it is not given. */
  readonly publicKey?: string
}

function thirtyDaysAround(now: Date): { from: Date; until: Date } {
  return { from: new Date(now.getTime() - 3_600_000), until: new Date(now.getTime() + 30 * 86_400_000) }
}

function make({ names, by, isAuthority, from, until, publicKey: given }: Wanted): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signatureType = sequence(objectId('2a8648ce3d040302')) // ecdsa-with-SHA256
  const name = commonName(names[0] ?? 'localhost')
  const body = sequence(
    tlv(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    signatureType,
    by === null ? name : commonName(by.name),
    sequence(time(from), time(until)),
    name,
    (given === undefined ? publicKey : createPublicKey(given)).export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(basicConstraints(isAuthority), subjectAltName(names))),
  )
  const signature = sign('sha256', body, by === null ? privateKey : by.key)
  const certificate = sequence(body, signatureType, tlv(0x03, Buffer.from([0]), signature))
  return { cert: pem('CERTIFICATE', certificate), key: privateKey.export({ type: 'pkcs8', format: 'pem' }) }
}

function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const sequence = (...parts: Buffer[]): Buffer => tlv(0x30, ...parts)
const set = (...parts: Buffer[]): Buffer => tlv(0x31, ...parts)
const integer = (bytes: Buffer): Buffer => tlv(0x02, bytes)
const objectId = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'))

/** UTCTime, which RFC 5280 asks for up to the year 2049. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/\D/g, '').slice(2, 14)
  return tlv(0x17, Buffer.from(`${digits}Z`))
}

function commonName(text: string): Buffer {
  return sequence(set(sequence(objectId('550403'), tlv(0x0c, Buffer.from(text)))))
}

/** Says whether it may sign others; only so do clients trust it by itself. */
function basicConstraints(isAuthority: boolean): Buffer {
  const isTrue = tlv(0x01, Buffer.from([0xff]))
  return sequence(objectId('551d13'), isTrue, tlv(0x04, isAuthority ? sequence(isTrue) : sequence()))
}

function subjectAltName(names: readonly string[]): Buffer {
  const entries = names.map(name => tlv(0x82, Buffer.from(name)))
  return sequence(objectId('551d11'), tlv(0x04, sequence(...entries)))
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
