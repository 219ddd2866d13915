import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { pemOf } from '../../test/tools/signatures.ts'
import { algorithmOf, isSigned, KeyRefused, readSigningKey, registerPublicKey, registerSecret } from './signing-key.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

const chosenFor = (pem: string, algorithm: string | null = null) => algorithmOf(registerPublicKey(pem, algorithm))

test('a public key is registered for the algorithm that fits, of two for RSA the better or the one that is asked for', () => {
  assert.equal(chosenFor(pemOf(generateKeyPairSync('ed25519').publicKey)), 'ed25519')
  assert.equal(chosenFor(pemOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)), 'ecdsa-p256-sha256')
  assert.equal(chosenFor(pemOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)), 'ecdsa-p384-sha384')
  assert.equal(chosenFor(pemOf(rsa.publicKey)), 'rsa-pss-sha512')
  assert.equal(chosenFor(pemOf(rsa.publicKey), 'rsa-v1_5-sha256'), 'rsa-v1_5-sha256')
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey
  assert.equal(chosenFor(pemOf(pss)), 'rsa-pss-sha512')
  assert.throws(() => registerPublicKey(pemOf(pss), 'rsa-v1_5-sha256'), KeyRefused)
})

const assertRefused = (pem: string, algorithm: string | null, message: RegExp) =>
  assert.throws(
    () => registerPublicKey(pem, algorithm),
    (error: unknown) => error instanceof KeyRefused && message.test(error.message) && error.hint !== '',
  )

test('keys that cannot be used are refused with words', () => {
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
  assertRefused(pemOf(short), null, /not supported/)
  assertRefused(pemOf(generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey), null, /not supported/)
  assertRefused(pemOf(generateKeyPairSync('x25519').publicKey), null, /not supported/)
  assertRefused(pemOf(rsa.publicKey), 'ed25519', /does not fit/)
  assertRefused(pemOf(rsa.publicKey), 'hmac-sha256', /does not fit/)
  assertRefused(rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }), null, /private/)
  assertRefused('hello', null, /no public key/)
})

test('a secret is read as it is written, and has to be long enough', () => {
  const bytes = Buffer.alloc(32, 0xfb)
  const verifier = `hmac-sha256 ${bytes.toString('base64')}`
  assert.equal(registerSecret(bytes.toString('base64'), 'base64'), verifier)
  assert.equal(registerSecret(bytes.toString('base64url'), 'base64url'), verifier)
  assert.throws(() => registerSecret('x'.repeat(31), 'text'), KeyRefused)
  assert.throws(() => registerSecret(bytes.subarray(1).toString('base64'), 'base64'), KeyRefused)
  assert.throws(() => registerSecret(bytes.toString('base64url'), 'base64'), KeyRefused)
})

const readKey = (verifier: string) => readSigningKey(verifier) ?? assert.fail(verifier)

test('a key serves its own algorithm alone', async () => {
  const text = Buffer.from('text')
  const old = readKey(registerPublicKey(pemOf(rsa.publicKey), 'rsa-v1_5-sha256'))
  const signature = sign('sha256', text, rsa.privateKey)
  assert.equal(await isSigned(old, text, signature), true)
  assert.equal(await isSigned(readKey(registerPublicKey(pemOf(rsa.publicKey), null)), text, signature), false)
  for (const wrong of ['', 'hello', 'ed25519 hello', `ed25519 ${pemOf(rsa.publicKey)}`, pemOf(rsa.publicKey)]) {
    assert.equal(readSigningKey(wrong), null, wrong)
  }
})
