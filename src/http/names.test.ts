import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kind, knownNames, nameOf } from './names.ts'

const find = (name: string) => {
  const octets = Buffer.from(name, 'latin1')
  return knownNames.find(octets, 0, octets.length)
}

test('a name in a known spelling is what it is in any other, and keeps its spelling', () => {
  for (const name of [
    ...['host', 'Host', 'content-length', 'Content-Length', 'te', 'Te', 'TE', 'X-Forwarded-For', 'via'],
    ...['x-api-key', 'X-Api-Key', 'X-API-Key', 'ETag', 'WWW-Authenticate', 'RateLimit', 'Sec-WebSocket-Key'],
  ]) {
    const known = find(name)
    assert.ok(known !== null, `${name} is known`)
    assert.equal(known.name, name)
    for (const other of [name, name.toLowerCase(), name.toUpperCase()]) {
      assert.deepEqual({ ...nameOf(other), name }, known, other)
    }
  }
})

test('what the codec treats on its own is treated so in each known spelling', () => {
  for (const [names, kind] of [
    [['te', 'Te', 'TE'], Kind.te],
    [['expect', 'Expect'], Kind.expect],
    [['x-forwarded-for', 'X-Forwarded-For'], Kind.forwarding],
    [['x-api-key', 'X-API-Key'], Kind.plain],
  ] as const) {
    for (const name of names) assert.equal(find(name)?.kind, kind, name)
  }
})

test('an unknown spelling is not found, and known by its letters', () => {
  assert.equal(find('hOST'), null)
  assert.deepEqual(nameOf('hOST'), { name: 'hOST', key: 'host', kind: Kind.host })
  assert.equal(nameOf('X-Anything').kind, Kind.plain)
})
