import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { pemOf } from '../../test/tools/signatures.ts'
import { algorithmOf, isSigned, KeyRefused, readSigningKey, registerPublicKey, registerSecret } from './signing-key.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

test('a public key is registered for the algorithm that fits, of two for RSA the better or the one that is asked for', () => {
  const made = (pem: string, algorithm: string | null = null) => algorithmOf(registerPublicKey(pem, algorithm))
  assert.equal(made(pemOf(generateKeyPairSync('ed25519').publicKey)), 'ed25519')
  assert.equal(made(pemOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)), 'ecdsa-p256-sha256')
  assert.equal(made(pemOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)), 'ecdsa-p384-sha384')
  assert.equal(made(pemOf(rsa.publicKey)), 'rsa-pss-sha512')
  assert.equal(made(pemOf(rsa.publicKey), 'rsa-v1_5-sha256'), 'rsa-v1_5-sha256')
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey
  assert.equal(made(pemOf(pss)), 'rsa-pss-sha512')
  assert.throws(() => registerPublicKey(pemOf(pss), 'rsa-v1_5-sha256'), KeyRefused)
})

test('keys that cannot be used are refused with words', () => {
  const refuse = (pem: string, algorithm: string | null, message: RegExp) =>
    assert.throws(
      () => registerPublicKey(pem, algorithm),
      (error: unknown) => error instanceof KeyRefused && message.test(error.message) && error.hint !== '',
    )
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
  refuse(pemOf(short), null, /not supported/)
  refuse(pemOf(generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey), null, /not supported/)
  refuse(pemOf(generateKeyPairSync('x25519').publicKey), null, /not supported/)
  refuse(pemOf(rsa.publicKey), 'ed25519', /does not fit/)
  refuse(pemOf(rsa.publicKey), 'hmac-sha256', /does not fit/)
  refuse(rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), null, /private/)
  refuse('hello', null, /no public key/)
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

test('a key serves its own algorithm alone', async () => {
  const text = Buffer.from('text')
  const read = (verifier: string) => readSigningKey(verifier) ?? assert.fail(verifier)
  const old = read(registerPublicKey(pemOf(rsa.publicKey), 'rsa-v1_5-sha256'))
  const signature = sign('sha256', text, rsa.privateKey)
  assert.equal(await isSigned(old, text, signature), true)
  assert.equal(await isSigned(read(registerPublicKey(pemOf(rsa.publicKey), null)), text, signature), false)
  for (const wrong of ['', 'hello', 'ed25519 hello', `ed25519 ${pemOf(rsa.publicKey)}`, pemOf(rsa.publicKey)]) {
    assert.equal(readSigningKey(wrong), null, wrong)
  }
})
