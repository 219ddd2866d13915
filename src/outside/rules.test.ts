import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { kindOf } from './address.ts'
import { createRules, type Trust } from './rules.ts'

const kinds: Readonly<Record<string, readonly string[]>> = {
  public: ['1.1.1.1', '2606:4700::1111', '::ffff:1.1.1.1', '64:ff9b::101:101', '172.32.0.1'],
  loopback: ['127.0.0.1', '127.255.255.255', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::'],
  private: ['10.0.0.1', '172.16.0.1', '192.168.1.1', '100.64.0.1', 'fd00::1', '::ffff:a00:1', '2002:a00:1::1'],
  never: [
    ...['0.0.0.0', '169.254.169.254', '224.0.0.1', '255.255.255.255', '100.100.100.200', '168.63.129.16'],
    ...['::', 'fe80::1', 'fe80::1%eth0', 'ff02::1', '::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe', 'fd00:ec2::254'],
    ...['64:ff9b:1::1', '::127.0.0.1', '2001::1', '2001:db8::1', 'example', '', '1.2.3'],
  ],
}

for (const [kind, addresses] of Object.entries(kinds)) {
  for (const address of addresses) test(`${address} is ${kind}`, () => assert.equal(kindOf(address), kind))
}

function refusal(url: string, trust: Trust = 'written', allow: readonly string[] = []): string {
  try {
    createRules(allow).judge(new URL(url).hostname, trust)
    return ''
  } catch (error) {
    return String(error)
  }
}

test('literals of the config may be local; those that a server named may not', () => {
  for (const url of [
    'http://127.0.0.1/',
    'http://10.0.0.1/',
    'http://[::1]/',
    'http://2130706433/',
    'http://0x7f.1/',
  ]) {
    assert.equal(refusal(url), '', url)
    assert.match(refusal(url, 'named'), /outbound: \{ allow: \["/, url)
  }
  for (const url of ['http://169.254.169.254/', 'http://0/', 'http://0xa9fea9fe/', 'http://[::ffff:a9fe:a9fe]/']) {
    assert.notEqual(refusal(url), '', url)
  }
  assert.equal(refusal('http://169.254.169.254/', 'named', ['169.254.169.254']), '')
  assert.equal(refusal('http://[::ffff:a9fe:a9fe]/', 'named', ['169.254.0.0/16']), '')
})

function look(name: string, addresses: readonly string[], allow: readonly string[] = [], trust: Trust = 'written') {
  const found = addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
  const rules = createRules(allow, (_, done) => done(null, found))
  return new Promise<readonly string[] | string>(resolve => {
    rules.lookup(trust)(name, { all: true }, (error, list) => {
      resolve(error !== null ? error.message : Array.isArray(list) ? list.map(({ address }) => address) : [list])
    })
  })
}

test('names must lead to public addresses, whatever they lead to later', async () => {
  assert.deepEqual(await look('id.acme.test', ['10.0.0.1', '1.1.1.1', '169.254.169.254']), ['1.1.1.1'])
  assert.equal(
    await look('id.acme.test', ['10.0.0.1']),
    'id.acme.test leads to 10.0.0.1, which is in a private network. If the gateway shall ask it, write `outbound: { allow: ["10.0.0.1/32"] }` in the config.',
  )
  assert.deepEqual(await look('id.acme.test', ['10.0.0.1'], ['10.0.0.0/8']), ['10.0.0.1'])
  assert.deepEqual(await look('localhost', ['127.0.0.1', '::1', '10.0.0.1']), ['127.0.0.1', '::1'])
  assert.match(String(await look('localhost', ['127.0.0.1'], [], 'named')), /a server named it/)
  assert.match(String(await look('127.0.0.1.nip.test', ['127.0.0.1'])), /this machine/)
})

test('an IPv6 address that stands for an IPv4 one is of its kind', () => {
  fc.assert(
    fc.property(fc.ipV4(), address => {
      assert.equal(kindOf(`::ffff:${address}`), kindOf(address))
      assert.equal(kindOf(`64:ff9b::${address}`), kindOf(address))
    }),
  )
})
