import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { createAddressReader, readCidr } from './address.ts'

/** The words of an address by Node and ipaddr.js, IPv4-mapped addresses as IPv4; null for what Node refuses. */
function oracle(text: string): number[] | null {
  const bare = text.replace(/%.*$/, '')
  if (isIP(bare) === 0) return null
  // ipaddr.js reads the deprecated form `::192.0.2.1` as IPv4; RFC 4291 section 2.5.5.1 has it as IPv6.
  const plain = isIP(bare) === 6 ? (URL.parse(`http://[${bare}]`)?.hostname.slice(1, -1) ?? '') : bare
  const bytes = Buffer.from(ipaddr.process(plain).toByteArray())
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32BE(4 * i))
}

function read(text: string): number[] | null {
  const reader = createAddressReader()
  const family = reader.read(text)
  return family === null ? null : [...reader.words.slice(0, family === 4 ? 1 : 4)]
}

test('reads addresses', () => {
  assert.deepEqual(read('192.0.2.1'), [0xc0000201])
  assert.deepEqual(read('255.255.255.255'), [0xffffffff])
  assert.deepEqual(read('::'), [0, 0, 0, 0])
  assert.deepEqual(read('::1'), [0, 0, 0, 1])
  assert.deepEqual(read('2001:DB8::'), [0x20010db8, 0, 0, 0])
  assert.deepEqual(read('1:2:3:4:5:6:7:8'), [0x10002, 0x30004, 0x50006, 0x70008])
  assert.deepEqual(read('::ffff:192.0.2.1'), [0xc0000201])
  assert.deepEqual(read('::FFFF:c000:201'), [0xc0000201])
  assert.deepEqual(read('64:ff9b::192.0.2.1'), [0x64ff9b, 0, 0, 0xc0000201])
  assert.deepEqual(read('fe80::1%eth0'), [0xfe800000, 0, 0, 1])
  assert.deepEqual(read('::ffff:192.0.2.1%2'), [0xc0000201])
})

test('refuses what is no address', () => {
  const texts = [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '1.2.3.4 ',
    '0x1.2.3.4',
    '1.2.3.4%1',
  ]
  texts.push(
    ':',
    '1:',
    ':1',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '12345::',
    'g::',
    '[::1]',
  )
  texts.push('::1.2.3', '1:2:3:4:5:6:7:1.2.3.4', '::1.2.3.4:5', '%eth0', '1:2:3:4:5:6:7:8::')
  for (const text of texts) assert.equal(read(text), null, text)
})

test('agrees with Node and ipaddr.js about valid and broken addresses', () => {
  const v6 = fc.ipV6()
  const zero = fc
    .tuple(fc.array(fc.constantFrom('0', 'a', 'ffff'), { maxLength: 9 }), fc.nat(9))
    .map(([groups, at]) => {
      const cut: string[] = [...groups]
      cut.splice(at, 0, '')
      return cut.join(':')
    })
  const noise = fc.string({ unit: fc.constantFrom(...'0 1 2 3 9 a b F : : : . . .'.split(' ')), maxLength: 20 })
  const mapped = fc.ipV4().map(text => `::ffff:${text}`)
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), v6, mapped, zero, noise), text => {
      assert.deepEqual(read(text), oracle(text), text)
    }),
    { numRuns: 3000 },
  )
})

function cidr(text: string): unknown {
  const result = readCidr(text)
  return 'problem' in result ? result : [result.family, [...result.words], result.bits]
}

test('CIDRs', () => {
  assert.deepEqual(cidr('10.0.0.0/8'), [4, [0x0a000000], 8])
  assert.deepEqual(cidr('0.0.0.0/0'), [4, [0], 0])
  assert.deepEqual(cidr('192.0.2.7'), [4, [0xc0000207], 32])
  assert.deepEqual(cidr('2001:db8::/32'), [6, [0x20010db8, 0, 0, 0], 32])
  assert.deepEqual(cidr('::1'), [6, [0, 0, 0, 1], 128])
  assert.deepEqual(cidr('::/0'), [6, [0, 0, 0, 0], 0])
  assert.deepEqual(cidr('::ffff:10.0.0.0/104'), [4, [0x0a000000], 8])
  assert.deepEqual(cidr('::ffff:10.0.0.1'), [4, [0x0a000001], 32])
})

test('CIDRs that are none say what to write', () => {
  const cases: [string, RegExp][] = [
    ['10.0.0.0/33', /from 0 to 32/],
    ['10.0.0.0/', /from 0 to 32/],
    ['10.0.0.0/-1', /from 0 to 32/],
    ['::/129', /from 0 to 128/],
    ['::ffff:10.0.0.0/8', /from 96 to 128/],
    ['10.0.0.0/8/8', /from 0 to 32/],
    ['10.1.2.3/8', /`10\.0\.0\.0\/8`/],
    ['2001:db8::1/32', /`2001:db8::\/32`/],
    ['10.0.0', /such as/],
    ['fe80::%eth0/64', /such as/],
    ['', /such as/],
  ]
  for (const [text, hint] of cases) {
    const result = readCidr(text)
    assert.ok('problem' in result, text)
    assert.match(result.hint, hint)
  }
})
