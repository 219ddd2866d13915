import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { judgePair } from './pair.ts'
import { createVault } from './vault.ts'

const directory = 'https://acme.example.test/directory'
let data: string
before(() => {
  data = mkdtempSync(path.join(os.tmpdir(), 'turnpike-vault-'))
})
after(() => rmSync(data, { recursive: true }))

const folderOf = (root: string) => path.join(root, 'acme', readdirSync(path.join(root, 'acme'))[0] ?? '')

test('an empty vault has nothing', () => {
  const vault = createVault(data, directory)
  assert.equal(vault.account(), null)
  assert.equal(vault.pair('shop.test'), null)
})

test('what is kept is found again by another vault, and only this user can read it', () => {
  const { cert, key } = selfSigned(['shop.test'])
  const chain = cert + selfSigned(['above.test']).cert
  createVault(data, directory).keepPair('shop.test', { cert: chain, key })
  createVault(data, directory).keepAccount('account key')
  const vault = createVault(data, directory)
  assert.deepEqual(vault.pair('shop.test'), { cert: chain, key })
  assert.equal(vault.account(), 'account key')
  const folder = folderOf(data)
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  assert.deepEqual(readdirSync(folder).sort(), ['account.key', 'shop.test.pem'])
  for (const file of readdirSync(folder)) assert.equal(statSync(path.join(folder, file)).mode & 0o777, 0o600)
})

test('a newer pair takes the place of the one before', () => {
  const vault = createVault(data, directory)
  for (let i = 0; i < 3; i++) {
    const pair = selfSigned(['shop.test'])
    vault.keepPair('shop.test', pair)
    assert.deepEqual(vault.pair('shop.test'), { cert: pair.cert, key: pair.key })
  }
})

test('each server has a folder of its own', () => {
  assert.equal(createVault(data, 'https://acme.example.test/other').account(), null)
})

test('a file that is none is no pair', () => {
  writeFileSync(path.join(folderOf(data), 'broken.test.pem'), 'no key here')
  assert.equal(createVault(data, directory).pair('broken.test'), null)
})

test('a pair is judged by its key and its name', () => {
  const pair = selfSigned(['shop.test', 'www.shop.test'])
  const { fromMs, toMs } = judgePair(pair, 'www.shop.test')
  assert.ok(fromMs < Date.now() && toMs > Date.now())
  assert.throws(() => judgePair(pair, 'other.test'), /not of the name other\.test/)
  assert.throws(() => judgePair({ ...pair, key: selfSigned(['shop.test']).key }, 'shop.test'), /not of this key/)
  assert.throws(() => judgePair({ ...pair, cert: 'none' }, 'shop.test'))
})
