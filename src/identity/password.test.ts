import assert from 'node:assert/strict'
import { argon2Sync } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { decoyHash, hashPassword, readPhc, verifyPassword } from './password.ts'

test('a password fits its own hash alone', async () => {
  const phc = await hashPassword('pässwörd: 1')
  assert.match(phc, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  assert.notEqual(readPhc(phc), null)
  assert.equal(await verifyPassword('pässwörd: 1', phc), true)
  assert.equal(await verifyPassword('pässwörd: 2', phc), false)
  assert.equal(await verifyPassword('', phc), false)
  assert.notEqual(await hashPassword('pässwörd: 1'), phc)
})

test('a hash of other parameters is checked with those', async () => {
  const nonce = Buffer.from('somesaltsomesalt')
  const tag = argon2Sync('argon2id', {
    message: 'pw',
    nonce,
    parallelism: 2,
    tagLength: 24,
    memory: 4096,
    passes: 3,
  })
  const phc = `$argon2id$v=19$m=4096,t=3,p=2$${nonce.toString('base64').replace(/=+$/, '')}$${tag.toString('base64')}`
  assert.equal(await verifyPassword('pw', phc), true)
  assert.equal(await verifyPassword('pW', phc), false)
})

test('nothing fits the decoy', async () => {
  assert.notEqual(readPhc(decoyHash()), null)
  assert.equal(await verifyPassword('', decoyHash()), false)
})

test('parameters that are absurd are no hash', () => {
  const nonce = 'c29tZXNhbHRzb21lc2FsdA'
  const tag = 'A'.repeat(43)
  const texts = ['m=8,t=1,p=1', 'm=4096,t=0,p=1', 'm=4096,t=1,p=0', 'm=9999999,t=1,p=1', 'm=4096,t=99,p=1']
  for (const text of texts) assert.equal(readPhc(`$argon2id$v=19$${text}$${nonce}$${tag}`), null)
  assert.equal(readPhc(`$argon2i$v=19$m=4096,t=1,p=1$${nonce}$${tag}`), null)
  assert.notEqual(readPhc(`$argon2id$v=19$m=4096,t=1,p=1$${nonce}$${tag}`), null)
})

test('whatever a hash says, checking it neither throws nor passes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 90 }), async text => {
      assert.equal(await verifyPassword('pw', text), false)
      assert.equal(await verifyPassword('pw', `$argon2id$v=19$${text}`), false)
    }),
  )
})

test('passwords that cannot be are refused', async () => {
  await assert.rejects(hashPassword(''), RangeError)
  await assert.rejects(hashPassword('x'.repeat(1025)), RangeError)
  assert.equal(await verifyPassword('x'.repeat(1025), decoyHash()), false)
})
