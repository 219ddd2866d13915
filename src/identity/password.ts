// Passwords as argon2id hashes (RFC 9106) in the PHC string format, made and checked off the event loop.

import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'

/** Kibibytes, passes, lanes: the second choice of OWASP's cheat sheet of 2025, some 50 ms on one core. */
const standard = { memory: 19_456, passes: 2, parallelism: 1 }
const nonceBytes = 16
const tagBytes = 32

/** Longest password, UTF-8 octets: nobody's is longer, and hashing one must not cost more than another. */
const passwordBytesMax = 1024

interface Phc {
  readonly memory: number
  readonly passes: number
  readonly parallelism: number
  readonly nonce: Buffer
  readonly tag: Buffer
}

/** @throws RangeError for a password that is empty or too long. */
export async function hashPassword(text: string): Promise<string> {
  const message = Buffer.from(text, 'utf8')
  if (message.length === 0) throw new RangeError('the password is empty')
  if (message.length > passwordBytesMax) throw new RangeError(`the password is longer than ${passwordBytesMax} bytes`)
  const nonce = randomBytes(nonceBytes)
  const tag = await derive(message, { ...standard, nonce, tag: Buffer.alloc(tagBytes) })
  const { memory, passes, parallelism } = standard
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${bare(nonce)}$${bare(tag)}`
}

/**
 * Whether the password belongs to the hash. Costs a hash of its own in the thread pool; false for a hash that cannot be read
 * and for a password that is too long, at once.
 */
export async function verifyPassword(text: string, phc: string): Promise<boolean> {
  const read = readPhc(phc)
  if (read === null) return false
  const message = Buffer.from(text, 'utf8')
  if (message.length > passwordBytesMax) return false
  return timingSafeEqual(await derive(message, read), read.tag)
}

/**
 * A hash that no password fits, of the standard cost: unknown users are checked against it, so that asking for them takes as
 * long as asking for others.
 */
export function decoyHash(): string {
  const { memory, passes, parallelism } = standard
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${bare(randomBytes(nonceBytes))}$${bare(randomBytes(tagBytes))}`
}

const phcPattern =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/

/** Null also for parameters that are absurd: a foreign hash must neither be worthless nor eat the machine. */
export function readPhc(phc: string): Phc | null {
  const match = phcPattern.exec(phc)
  if (match === null) return null
  const [memory = 0, passes = 0, parallelism = 0] = match.slice(1, 4).map(Number)
  const [nonce, tag] = match.slice(4).map(text => Buffer.from(text, 'base64')) as [Buffer, Buffer]
  const isSane =
    memory >= 4_096 && memory <= 262_144 && passes >= 1 && passes <= 10 && parallelism >= 1 && parallelism <= 8
  return isSane && nonce.length >= 8 && tag.length >= 16 ? { memory, passes, parallelism, nonce, tag } : null
}

function derive(message: Buffer, { memory, passes, parallelism, nonce, tag }: Phc): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parameters = { message, nonce, parallelism, tagLength: tag.length, memory, passes }
    argon2('argon2id', parameters, (error, derived) => {
      if (error === null) resolve(derived)
      else reject(error)
    })
  })
}

/** Base64 without padding, as the PHC format wants it. */
function bare(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
