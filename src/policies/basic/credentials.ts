// User and password out of an Authorization field, as RFC 7617 has it, in UTF-8.

export interface UserPassword {
  readonly user: string
  readonly password: string
}

/** Longest text of base64 that is read. */
const textMax = 2048

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Null for anything that is not exactly one well-formed pair. */
export function readBasic(field: string): UserPassword | null {
  const text = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(field)?.[1]
  if (text === undefined || text.length > textMax) return null
  const bytes = Buffer.from(text, 'base64')
  // Two texts must not mean one pair: trailing bits and missing padding are no base64.
  if (bytes.toString('base64') !== text) return null
  const pair = decode(bytes)
  const colon = pair?.indexOf(':') ?? -1
  if (pair === null || colon < 1 || /\p{Cc}/u.test(pair)) return null
  return { user: pair.slice(0, colon), password: pair.slice(colon + 1) }
}

function decode(bytes: Buffer): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}
