import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCall } from '../../test/tools/call.ts'
import { applyForwarding, plainAddress } from './forwarded.ts'

for (const [claims, client] of [
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['[::FFFF:192.0.2.7]:443', '192.0.2.7'],
  ['2001:db8::7', '2001:db8::7'],
] as const) {
  test(`a trusted proxy that says ${claims} means ${client}`, () => {
    const call = makeCall({
      headers: { 'x-forwarded-for': claims },
      peer: { address: '10.0.0.1', isTrusted: true },
    })
    applyForwarding(call, 'a.test', true, address => address.startsWith('10.'))
    assert.equal(call.clientAddress, client)
    assert.equal(call.headers.get('x-forwarded-for'), `${client}, 10.0.0.1`)
  })
}

test('only an IPv4 address has the prefix of a dual-stack socket taken off', () => {
  assert.equal(plainAddress('::ffff:1.2.3.4'), '1.2.3.4')
  assert.equal(plainAddress('::ffff:c000:207'), '::ffff:c000:207')
  assert.equal(plainAddress(undefined), '')
})
