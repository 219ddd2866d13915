import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressOf, hostFieldOf, labelOf } from './endpoint.ts'

for (const [id, hostField, label] of [
  ['http://inside.test:9001 10.0.0.7', 'inside.test:9001', 'inside.test:9001 (10.0.0.7)'],
  ['https://10.0.0.7:443 10.0.0.7', '10.0.0.7:443', '10.0.0.7:443 (10.0.0.7)'],
  ['http://[::1]:80 ::1', '[::1]:80', '[::1]:80 (::1)'],
] as const) {
  test(`${id}: as a Host field, and for log texts`, () => {
    const address = addressOf(id) ?? assert.fail()
    assert.equal(hostFieldOf(address), hostField)
    assert.equal(labelOf(address), label)
    assert.equal(`${address.scheme}://${hostField} ${address.address}`, id)
  })
}

test('what is no id has no address', () => {
  for (const id of ['', 'inside.test', 'http://inside.test:9001', 'ftp://inside.test:21 10.0.0.7']) {
    assert.equal(addressOf(id), null, id)
  }
})
