// The attacks on tokens, on ID tokens: nothing that `jwt` refuses may log anybody in.

import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, type HashOptions, type KeyObject, sign } from 'node:crypto'
import { test } from 'node:test'
import { SignJWT } from 'jose'
import { attackedNonce, attackedToken, tokenAttacks } from '../../../test/tools/token-attacks.ts'
import { claims, encode, keyFile, rsa, seconds } from '../../../test/tools/tokens.ts'
import { fixedKeySet } from '../../identity/key-set.ts'
import { createIdTokenVerifier, IdTokenError } from './id-token.ts'

const rules = { issuer: claims.iss, clientId: claims.aud, skewMs: 30_000 }
const expected = { nonce: attackedNonce, accessToken: 'access', wallMs: seconds * 1000 }

test('the token that the attacks change is good', async () => {
  const verify = createIdTokenVerifier(rules, fixedKeySet(keyFile))
  assert.equal((await verify(attackedToken, expected))['sub'], claims.sub)
})

for (const [name, token] of tokenAttacks) {
  test(`refused: ${name}`, async () => {
    const verify = createIdTokenVerifier(rules, fixedKeySet(keyFile))
    // With and without a nonce: a refresh has none to tell whose token it is.
    for (const nonce of [attackedNonce, null]) {
      await assert.rejects(verify(token, { ...expected, nonce }), IdTokenError)
    }
  })
}

const hashOf = (name: string, options: HashOptions = {}) => {
  const bytes = createHash(name, options).update(expected.accessToken).digest()
  return bytes.subarray(0, bytes.length / 2).toString('base64url')
}
const pairOf = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve })
const ed25519 = generateKeyPairSync('ed25519')
const hashes: readonly (readonly [alg: string, { privateKey: KeyObject; publicKey: KeyObject }, hash: string])[] = [
  ['PS384', rsa, hashOf('sha384')],
  ['ES256', pairOf('P-256'), hashOf('sha256')],
  ['ES512', pairOf('P-521'), hashOf('sha512')],
  ['EdDSA', ed25519, hashOf('sha512')],
  ['Ed25519', ed25519, hashOf('sha512')],
  ['Ed448', generateKeyPairSync('ed448'), hashOf('shake256', { outputLength: 114 })],
]
for (const [alg, pair, hash] of hashes) {
  test(`at_hash is made as the signature is: ${alg}`, async () => {
    const verify = createIdTokenVerifier(
      rules,
      fixedKeySet(JSON.stringify({ keys: [pair.publicKey.export({ format: 'jwk' })] })),
    )
    const tokenOf = async (at_hash: string) => {
      const payload = { ...claims, iat: seconds, nonce: attackedNonce, at_hash }
      if (alg !== 'Ed448') return new SignJWT(payload).setProtectedHeader({ alg }).sign(pair.privateKey)
      const text = `${encode({ alg })}.${encode(payload)}`
      return `${text}.${sign(null, Buffer.from(text), pair.privateKey).toString('base64url')}`
    }
    assert.equal((await verify(await tokenOf(hash), expected))['sub'], claims.sub)
    const another = hashOf('sha1')
    await assert.rejects(verify(await tokenOf(another), expected), { message: 'of another access token' })
  })
}

test('without keys nobody is refused for good: the provider may be back soon', async () => {
  const none = { candidates: () => [], isUsable: () => false, renew: () => null }
  await assert.rejects(createIdTokenVerifier(rules, none)(attackedToken, expected), error => {
    return !(error instanceof IdTokenError)
  })
})
