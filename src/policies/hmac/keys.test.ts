import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSigned } from '../../identity/signing-key.ts'
import { fakePorts } from '../../../test/tools/call.ts'
import { algorithms, identities, signatureOf } from '../../../test/tools/signatures.ts'
import { createKeyFinder } from './keys.ts'
import type { Signed } from './signed.ts'

const find = createKeyFinder(fakePorts({}, { credentials: identities }).identities)
const text = 'what is signed'

function signedBy(keyId: string, signature: Buffer, algorithm = ''): Signed {
  const rest = { components: [], created: 0, expires: Infinity, nonce: '', tag: '', parameters: '' }
  return { keyId, signature, algorithm, ...rest }
}

test('a known id gives its key, the same each time', async () => {
  for (const algorithm of algorithms) {
    const signature = signatureOf(algorithm, text)
    const { identity, key } = await find(signedBy(algorithm, signature))
    assert.equal(identity?.credential.lookup, algorithm)
    assert.equal(await isSigned(key, Buffer.from(text), signature), true)
    assert.equal((await find(signedBy(algorithm, signature))).key, key)
  }
})

test('an unknown id and another algorithm give a key of the likely kind, which verifies and fits nothing', async () => {
  for (const algorithm of algorithms) {
    const signature = signatureOf(algorithm, text)
    const other = algorithm === 'ed25519' ? 'hmac-sha256' : 'ed25519'
    for (const signed of [signedBy('nobody', signature, algorithm), signedBy(other, signature, algorithm)]) {
      const { identity, key } = await find(signed)
      assert.equal(identity, null)
      assert.equal(key.algorithm, algorithm)
      assert.equal(await isSigned(key, Buffer.from(text), signature), false)
    }
    // The length alone tells all but the curve P-256 from Ed25519, and one RSA from the other.
    const guessed = (await find(signedBy('nobody', signature))).key.algorithm
    const alike =
      { 'ecdsa-p256-sha256': 'ed25519', 'rsa-v1_5-sha256': 'rsa-pss-sha512' }[algorithm as string] ?? algorithm
    assert.equal(guessed, alike)
  }
})
