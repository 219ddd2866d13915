// Published examples: RFC 7515 appendix A, RFC 7519 §3.1 and §6.1, RFC 8037 appendix A.

import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { test } from 'node:test'
import { principal } from '../core/principal.ts'
import { build, defaults } from '../../test/tools/tokens.ts'
import { readCompactJws } from './compact-jws.ts'
import { isSignedBy } from './signature.ts'

const payload = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'
const expiryMs = 1_300_819_380_000
const hmacSecret = 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow'
const hmacToken = `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`
const rsaKey = {
  kty: 'RSA',
  n: [
    'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs',
    'D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV',
    'MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ',
  ].join(''),
  e: 'AQAB',
}
const rsaSignature = [
  'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQ',
  'jbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqt',
  'FZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw',
].join('')
const p256Key = {
  ...{ kty: 'EC', crv: 'P-256', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU' },
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
}
const p256Signature = 'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q'
const p521Key = {
  ...{ kty: 'EC', crv: 'P-521' },
  x: 'AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk',
  y: 'ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2',
}
const p521Signature = [
  'AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpR',
  'wcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn',
].join('')
const unsecured = `eyJhbGciOiJub25lIn0.${payload}.`

/** A second before the tokens of the RFC expire. */
function buildThen(keys: object | { secret: string }) {
  const isSecret = 'secret' in keys
  const source = isSecret ? { file: null, secretEncoding: 'base64url' as const, ...keys } : {}
  const built = build(
    { keys: { ...defaults.keys, ...source }, issuer: ['joe'], audience: [], clockSkew: 0 },
    isSecret ? {} : { files: { 'keys.json': JSON.stringify({ keys: [keys] }) } },
  )
  built.ports.advance(expiryMs - 1000 - built.ports.clock.wall())
  return built
}

const whole: Readonly<Record<string, readonly [keys: object, token: string]>> = {
  'RFC 7515 A.1 and RFC 7519 §3.1: HS256': [{ secret: hmacSecret }, hmacToken],
  'RFC 7515 A.2: RS256': [rsaKey, `eyJhbGciOiJSUzI1NiJ9.${payload}.${rsaSignature}`],
  'RFC 7515 A.3: ES256': [p256Key, `eyJhbGciOiJFUzI1NiJ9.${payload}.${p256Signature}`],
}
for (const [name, [keys, token]] of Object.entries(whole)) {
  test(`${name}: 200 before it expires, 401 from then on, and with another signature`, async () => {
    const { ask, next, ports } = buildThen(keys)
    const other = token.replace(/.{4}$/, end => (end.startsWith('A') ? `B${end.slice(1)}` : `A${end.slice(1)}`))
    assert.equal((await ask(other)).status, 401)
    assert.equal((await ask(token)).status, 200)
    assert.equal(next.calls[0]?.facts.get(principal)?.claims['http://example.com/is_root'], true)
    ports.advance(1000)
    assert.equal((await ask(token)).status, 401)
  })
}

test('RFC 7515 A.5 and RFC 7519 §6.1: an unsecured token is refused by keys of every kind', async () => {
  for (const keys of [{ secret: hmacSecret }, rsaKey, p256Key]) {
    const { ask, next } = buildThen(keys)
    assert.equal((await ask(unsecured)).status, 401)
    assert.equal(next.calls.length, 0)
  }
})

test('RFC 7515 A.4: ES512; its payload is no JSON, and so no token', async () => {
  const text = 'eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA'
  const key = createPublicKey({ key: p521Key, format: 'jwk' })
  const signature = Buffer.from(p521Signature, 'base64url')
  assert.equal(await isSignedBy(key, 'ES512', Buffer.from(text), signature), true)
  assert.equal(await isSignedBy(key, 'ES512', Buffer.from(`${text}x`), signature), false)
  assert.equal(typeof readCompactJws(`${text}.${p521Signature}`), 'string')
})

test('RFC 8037 A.4: Ed25519', async () => {
  const ed = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  const key = createPublicKey({ key: ed, format: 'jwk' })
  const text = 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc'
  const signature = Buffer.from(
    'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg',
    'base64url',
  )
  assert.equal(await isSignedBy(key, 'EdDSA', Buffer.from(text), signature), true)
  assert.equal(await isSignedBy(key, 'EdDSA', Buffer.from(`${text}x`), signature), false)
})
