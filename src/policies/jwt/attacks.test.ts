// What is known to have fooled verifiers of tokens: each must be refused, twice, as any other bad token is.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attackedToken, tokenAttacks } from '../../../test/tools/token-attacks.ts'
import { build, defaults } from '../../../test/tools/tokens.ts'

for (const [name, token] of tokenAttacks) {
  test(`401: ${name}`, async () => {
    // Long tokens are let in once, so that it is not their length alone that refuses them.
    for (const tokenSize of token.length > 8000 ? [8000, 2_000_000] : [8000]) {
      if (tokenSize > 8000 && name.startsWith('too long')) continue
      const { ask, next } = build({ tokenSize })
      for (let i = 0; i < 2; i++) {
        const reply = await ask(token)
        assert.equal(reply.status, 401)
        assert.equal(reply.headers.get('www-authenticate'), 'Bearer realm="api", error="invalid_token"')
      }
      assert.equal(next.calls.length, 0)
    }
  })
}

test('the table has each attack once, and the token that it changes is good', async () => {
  const names = tokenAttacks.map(([name]) => name)
  assert.equal(new Set(names).size, names.length)
  assert.equal((await build().ask(attackedToken)).status, 200)
})

test('401 where a secret is shared: every token above, and a public key is none', async () => {
  const keys = { ...defaults.keys, file: null, secret: 'a secret of more than thirty-two letters' }
  const { ask, next } = build({ keys, tokenSize: 2_000_000 })
  for (const [name, token] of tokenAttacks) assert.equal((await ask(token)).status, 401, name)
  assert.equal(next.calls.length, 0)
})
