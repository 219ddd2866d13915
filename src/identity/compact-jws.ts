// Reads a compact JWS (RFC 7515) strictly, before anything of it is believed.

import { strictObject } from './strict-json.ts'

export interface CompactJws {
  readonly algorithm: string
  readonly keyId: string | undefined
  readonly type: string | undefined
  readonly claims: Readonly<Record<string, unknown>>
  readonly signed: Buffer
  readonly signature: Buffer
}

/** Where keys come from is for the config to say, and no extension is understood: RFC 7515 §4.1.11, RFC 7797. */
const forbidden = ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'zip', 'enc']
const keyIdLengthMax = 512

/** The token, or why it is none. */
export function readCompactJws(token: string): CompactJws | string {
  const parts = token.split('.', 4)
  if (parts.length !== 3) return 'the token has not three parts'
  const [head, body, signature] = parts.map(decodeBase64url)
  if (!head || !body || !signature) return 'the token is not base64url'
  const header = strictObject(head)
  if (header === null) return 'the header is no strict JSON object'
  const claims = strictObject(body)
  if (claims === null) return 'the payload is no strict JSON object'
  const member = forbidden.find(name => Object.hasOwn(header, name))
  if (member !== undefined) return `the header has \`${member}\``
  const { alg, kid, typ } = header
  if (typeof alg !== 'string') return 'the header has no algorithm'
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > keyIdLengthMax)) return 'the key id is malformed'
  if (typ !== undefined && typeof typ !== 'string') return 'the type is malformed'
  const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')), 'latin1')
  return { algorithm: alg, keyId: kid, type: typ, claims, signed, signature }
}

/** Only the one spelling that encoding gives: no padding, no blanks, no stray bits in the last letter. */
function decodeBase64url(text: string): Buffer | null {
  if (text === '' || !/^[\w-]+$/.test(text)) return null
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : null
}
