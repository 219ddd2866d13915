// The text of an API key: how one is made, recognised without asking anybody, and stored.

import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** 30 characters of base62 are 178 bits: nobody guesses one, however many keys there are. */
const randomCharacters = 30
const checkCharacters = 6

export const defaultKeyPrefix = 'tpk'

/** What a scanner for leaked secrets looks for: a prefix, `_`, 30 random characters, 6 of a checksum. */
export const keyPattern: RegExp = /^[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{36}$/

/** Longest text that is looked up as a key at all, also of keys that others made. */
export const keyCharactersMax = 512

/**
 * A new key such as `tpk_` and 36 characters. The checksum is the CRC-32 of all before it, so that scanners tell a key from text
 * that happens to look like one.
 * @param randomBytes fills a buffer with random octets, as `randomFillSync` does.
 */
export function createKeyText(randomBytes: (bytes: Uint8Array) => unknown, prefix: string = defaultKeyPrefix): string {
  if (!/^[a-z][a-z0-9]{1,15}$/.test(prefix)) throw new RangeError(`\`${prefix}\` is no prefix of a key`)
  const bytes = new Uint8Array(64)
  let text = `${prefix}_`
  const wanted = text.length + randomCharacters
  while (text.length < wanted) {
    randomBytes(bytes)
    for (const octet of bytes) {
      // 248 is the greatest multiple of 62: taking more would make some characters likelier than others.
      if (octet < 248 && text.length < wanted) text += alphabet.charAt(octet % 62)
    }
  }
  return text + checksumOf(text)
}

/** Whether a text has the shape and the checksum of our keys. Says nothing of whether such a key exists. */
export function isKeyText(text: string): boolean {
  if (text.length > 60 || !keyPattern.test(text)) return false
  const split = text.length - checkCharacters
  return checksumOf(text.slice(0, split)) === text.slice(split)
}

/** What is stored of a key: SHA-256 as hex. A key is random and long, so that a slow hash would protect nothing more. */
export function digestOf(text: string): string {
  return hash('sha256', text, 'hex')
}

/** What people may see of a key, to tell it from others. Of a key that is too short to spare letters, nothing. */
export function hintOf(text: string): string {
  if (keyPattern.test(text)) return `${text.slice(0, text.indexOf('_') + 5)}…`
  return text.length >= 24 ? `${text.slice(0, 4)}…` : '…'
}

function checksumOf(text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < checkCharacters; i++) {
    digits = alphabet.charAt(rest % 62) + digits
    rest = Math.floor(rest / 62)
  }
  return digits
}
