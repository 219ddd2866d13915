// What a call guesses at: a user name, and keys that begin alike.

import type { Call } from '../../core/call.ts'
import { createKeyReader, isJwtText, type KeyPlaces } from '../../identity/key-reader.ts'

/** Of a key in our form the four characters behind its prefix, of another its first eight: nobody's whole key is a key here. */
const prefixCharacters = 8
const userCharactersMax = 128
const none: readonly string[] = []

/**
 * Reads what must be read before the call goes inside, where credentials are taken away. All that the call brings: else a second
 * credential, made up for each call, would hide the one that is guessed at.
 */
export function createGuessReader(places: KeyPlaces): (call: Call) => readonly string[] {
  const readers = placesApart(places).map(createKeyReader)
  return call => {
    let guesses = none
    for (const reader of readers) {
      const { text } = reader.read(call)
      // Tokens of one issuer all begin alike: they are counted by address alone.
      if (text === '' || isJwtText(text)) continue
      guesses = [...guesses, `key ${text.slice(0, prefixCharacters)}`]
    }
    const user = userOf(call.headers.get('authorization') ?? '')
    return user === null ? guesses : [...guesses, `user ${user}`]
  }
}

/** One after the other: a key in one place must not hide that in another. */
function placesApart({ header, query, cookie }: KeyPlaces): KeyPlaces[] {
  const nowhere = { header: [], query: [], cookie: [] }
  return [
    ...header.map(name => ({ ...nowhere, header: [name] })),
    ...query.map(name => ({ ...nowhere, query: [name] })),
    ...cookie.map(name => ({ ...nowhere, cookie: [name] })),
  ]
}

function userOf(field: string): string | null {
  const rest = /^basic +([^ ]+)$/i.exec(field)?.[1]
  if (rest === undefined) return null
  const pair = Buffer.from(rest.slice(0, 2048), 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  return pair.slice(0, colon < 0 ? userCharactersMax : Math.min(colon, userCharactersMax))
}
