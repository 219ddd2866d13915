// What a call guesses at: a user name, or keys that begin alike.

import type { Call } from '../../core/call.ts'

/** Of a key in our form the four characters behind its prefix, of another its first eight: nobody's whole key is a key here. */
const prefixCharacters = 8
const userCharactersMax = 128

/** Reads what must be read before the call goes inside, where credentials are taken away. Null for none. */
export function createGuessReader(header: string): (call: Call) => string | null {
  const key = header.toLowerCase()
  return ({ headers }) => {
    const text = headers.get(key)
    if (text !== undefined) return `key ${text.slice(0, prefixCharacters)}`
    const field = headers.get('authorization')
    if (field === undefined) return null
    const match = /^(basic|bearer|apikey) +([^ ]+)$/i.exec(field)
    const [, scheme = '', rest = ''] = match ?? []
    // Tokens of one issuer all begin alike: they are counted by address alone.
    if (scheme.toLowerCase() !== 'basic') return null
    const pair = Buffer.from(rest.slice(0, 2048), 'base64').toString('utf8')
    const colon = pair.indexOf(':')
    return `user ${pair.slice(0, colon < 0 ? userCharactersMax : Math.min(colon, userCharactersMax))}`
  }
}
