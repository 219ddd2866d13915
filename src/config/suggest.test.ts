import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listOf, suggest } from './suggest.ts'

const known = ['port', 'host', 'timeouts', 'least-request', 'methods']

for (const [word, meant] of [
  ['prot', 'port'],
  ['Port', 'port'],
  ['timeout', 'timeouts'],
  ['least-reqest', 'least-request'],
  ['leastrequest', 'least-request'],
  ['methdos', 'methods'],
] as const) {
  test(`${word} is taken for ${meant}`, () => assert.equal(suggest(word, known), `Did you mean \`${meant}\`?`))
}

test('a word that is near to none lists them all', () => {
  assert.equal(suggest('colour', ['port', 'host', 'name']), 'Possible here: `port`, `host` or `name`.')
  assert.equal(suggest('colour', []), '')
})

test('other digits are another word, the same ones in another order are a slip', () => {
  assert.equal(suggest('404', ['504', 'reset']), 'Possible here: `504` or `reset`.')
  assert.equal(suggest('SHA265', ['SHA384', 'SHA256']), 'Did you mean `SHA256`?')
})

test('a long list is cut', () => {
  const words = Array.from({ length: 500 }, (_, index) => `w${index}`)
  assert.match(listOf(words), /`w23` and 476 more$/)
})
