import assert from 'node:assert/strict'
import { test } from 'node:test'
import tls from 'node:tls'
import { cipherLists, cipherText } from './ciphers.ts'

test('OpenSSL knows every suite of the lists', () => {
  const known = new Set(tls.getCiphers().map(name => name.toUpperCase()))
  for (const name of Object.values(cipherLists).flat()) assert.ok(known.has(name), name)
})

test('no suite of a list lacks forward secrecy, and `intermediate` has authenticated encryption alone', () => {
  for (const name of Object.values(cipherLists).flat()) assert.match(name, /^(TLS_|ECDHE-)/)
  for (const name of cipherLists['intermediate'] ?? []) assert.match(name, /GCM|POLY1305/)
})

for (const [written, expected] of [
  [['intermediate'], (cipherLists['intermediate'] ?? []).join(':')],
  [
    ['ecdhe-rsa-aes128-gcm-sha256'],
    'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-RSA-AES128-GCM-SHA256',
  ],
  [
    ['ECDHE-RSA-AES256-GCM-SHA384', 'TLS_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
    'TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES256-GCM-SHA384',
  ],
] as const) {
  test(`${written.join(', ')} is written for OpenSSL`, () => assert.equal(cipherText(written), expected))
}

test('a list for TLS 1.3 leaves TLS 1.2 with `intermediate`', () => {
  assert.match(cipherText(['TLS_AES_128_GCM_SHA256']), /^TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:/)
})

test('a named list may have suites added', () => {
  assert.match(cipherText(['intermediate', 'AES128-SHA']), /:ECDHE-RSA-CHACHA20-POLY1305:AES128-SHA$/)
})
