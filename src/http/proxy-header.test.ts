import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { crc32c } from './crc32c.ts'
import { ownProxyHeader, readProxyHeader, writeProxyHeader } from './proxy-header.ts'

const line = (text: string) => Buffer.from(text, 'latin1')
const signature = line('\r\n\r\n\0\r\nQUIT\n')

/** A header of version 2. `length` stands in for the true one where it is given. */
function binary(command: number, kind: number, rest: Buffer = Buffer.alloc(0), length = rest.length): Buffer {
  return Buffer.concat([signature, Buffer.from([command, kind, length >> 8, length & 255]), rest])
}

const four = Buffer.from('c0000207cb007105c33801bb', 'hex')
const six = Buffer.from('20010db8000000000000000000000007fe80000000000000000000000000000111d701bb', 'hex')
const unix = Buffer.alloc(216, '/tmp/socket')

function extension(type: number, value: Buffer, length = value.length): Buffer {
  return Buffer.concat([Buffer.from([type, length >> 8, length & 255]), value])
}

/** With a checksum over all of it, or a wrong one. */
function checked(rest: Buffer, spoil = 0): Buffer {
  const whole = binary(0x21, 0x11, Buffer.concat([rest, extension(3, Buffer.alloc(4))]))
  whole.writeUInt32BE((crc32c(whole) ^ spoil) >>> 0, whole.length - 4)
  return whole
}

const endsFour = { source: { address: '192.0.2.7', port: 49976 }, destination: { address: '203.0.113.5', port: 443 } }
const endsSix = { source: { address: '2001:db8::7', port: 4567 }, destination: { address: 'fe80::1', port: 443 } }

test('crc32c gives the check values of RFC 3720 §B.4', () => {
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43)
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
})

describe('good headers', () => {
  for (const [what, bytes, ends] of [
    ['version 1, IPv4', line('PROXY TCP4 192.0.2.7 203.0.113.5 49976 443\r\n'), endsFour],
    ['version 1, IPv6', line('PROXY TCP6 2001:DB8:0:0:0:0:0:7 fe80::1 4567 443\r\n'), endsSix],
    ['version 1, IPv4 as IPv6', line('PROXY TCP6 ::ffff:192.0.2.7 ::ffff:203.0.113.5 49976 443\r\n'), endsFour],
    ['version 1, unknown', line('PROXY UNKNOWN\r\n'), null],
    ['version 1, unknown with addresses', line('PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n'), null],
    [
      'version 1, port 0',
      line('PROXY TCP4 192.0.2.7 203.0.113.5 0 443\r\n'),
      { ...endsFour, source: { address: '192.0.2.7', port: 0 } },
    ],
    ['version 2, IPv4', binary(0x21, 0x11, four), endsFour],
    ['version 2, IPv6', binary(0x21, 0x21, six), endsSix],
    ['version 2, a Unix socket', binary(0x21, 0x31, unix), null],
    ['version 2, unknown', binary(0x21, 0x00), null],
    ['version 2, unknown with bytes to ignore', binary(0x21, 0x00, Buffer.alloc(9, 7)), null],
    ['version 2, LOCAL', binary(0x20, 0x00), null],
    ['version 2, LOCAL with addresses', binary(0x20, 0x11, four), null],
    [
      'version 2, extensions',
      binary(0x21, 0x11, Buffer.concat([four, extension(2, line('a.test')), extension(4, line(''))])),
      endsFour,
    ],
    ['version 2, a good checksum', checked(four), endsFour],
    [
      'version 2, a good checksum behind another extension',
      checked(Buffer.concat([four, extension(0xea, line('x'))])),
      endsFour,
    ],
  ] as const) {
    test(what, () => {
      assert.deepEqual(readProxyHeader(bytes), { kind: 'complete', bytes: bytes.length, ends })
      const followed = Buffer.concat([bytes, line('GET / HTTP/1.1\r\n')])
      assert.deepEqual(readProxyHeader(followed), { kind: 'complete', bytes: bytes.length, ends })
      for (let length = 0; length < bytes.length; length++) {
        assert.deepEqual(readProxyHeader(bytes.subarray(0, length)), { kind: 'incomplete' }, `of ${length} bytes`)
      }
    })
  }
})

describe('hostile headers', () => {
  for (const [what, bytes] of [
    ['a request', line('GET / HTTP/1.1\r\n')],
    ['a request whose method begins alike', line('PROPFIND / HTTP/1.1\r\n')],
    ['a TLS ClientHello', Buffer.from('16030100c8010000c4', 'hex')],
    ['lower case', line('proxy TCP4 192.0.2.7 203.0.113.5 1 2\r\n')],
    ['an unknown protocol', line('PROXY UDP4 192.0.2.7 203.0.113.5 1 2\r\n')],
    ['a word that begins with UNKNOWN', line('PROXY UNKNOWNS\r\n')],
    ['two spaces', line('PROXY TCP4  192.0.2.7 203.0.113.5 1 2\r\n')],
    ['a tab', line('PROXY TCP4\t192.0.2.7 203.0.113.5 1 2\r\n')],
    ['a space at the end', line('PROXY TCP4 192.0.2.7 203.0.113.5 1 2 \r\n')],
    ['a missing port', line('PROXY TCP4 192.0.2.7 203.0.113.5 1\r\n')],
    ['no addresses', line('PROXY TCP4\r\n')],
    ['an octal address', line('PROXY TCP4 192.0.02.7 203.0.113.5 1 2\r\n')],
    ['a short address', line('PROXY TCP4 192.2 203.0.113.5 1 2\r\n')],
    ['an address with a zone', line('PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n')],
    ['IPv6 as TCP4', line('PROXY TCP4 ::1 ::1 1 2\r\n')],
    ['IPv4 as TCP6', line('PROXY TCP6 192.0.2.7 203.0.113.5 1 2\r\n')],
    ['a port with a leading zero', line('PROXY TCP4 192.0.2.7 203.0.113.5 01 2\r\n')],
    ['a port that is too large', line('PROXY TCP4 192.0.2.7 203.0.113.5 65536 2\r\n')],
    ['a negative port', line('PROXY TCP4 192.0.2.7 203.0.113.5 -1 2\r\n')],
    ['a bare LF', line('PROXY TCP4 192.0.2.7 203.0.113.5 1 2\n')],
    ['a bare LF before the end', line('PROXY UNKNOWN a\nb\r\n')],
    ['a bare CR', line('PROXY UNKNOWN\rX')],
    ['a line without end', line(`PROXY UNKNOWN ${'a'.repeat(200)}`)],
    ['an end one byte too late', line(`PROXY UNKNOWN ${'a'.repeat(92)}\r\n`)],
    ['a NUL', line('PROXY TCP4 192.0.2.7\0 203.0.113.5 1 2\r\n')],
    ['a broken signature', line('\r\n\r\n\0\r\nQUIT\r')],
    ['an empty line', line('\r\nPROXY TCP4 192.0.2.7 203.0.113.5 1 2\r\n')],
    ['version 1 in binary', binary(0x11, 0x11, four)],
    ['an unknown command', binary(0x22, 0x11, four)],
    ['datagrams', binary(0x21, 0x12, four)],
    ['an unknown family', binary(0x21, 0x41, four)],
    ['an unknown transport', binary(0x21, 0x10, four)],
    ['IPv4 without room for it', binary(0x21, 0x11, four.subarray(0, 11))],
    ['IPv6 without room for it', binary(0x21, 0x21, four)],
    ['a Unix socket without room for it', binary(0x21, 0x31, unix.subarray(1))],
    ['a header that is too long', binary(0x21, 0x11, four, 4097)],
    ['a header of the greatest length', binary(0x20, 0x00, Buffer.alloc(0), 65535)],
    ['an extension cut in its length', binary(0x21, 0x11, Buffer.concat([four, Buffer.from([4, 0])]))],
    ['an extension that says it is longer', binary(0x21, 0x11, Buffer.concat([four, extension(4, line('ab'), 3)]))],
    ['a wrong checksum', checked(four, 1)],
    ['a checksum of three bytes', binary(0x21, 0x11, Buffer.concat([four, extension(3, Buffer.alloc(3))]))],
    ['two checksums', checked(Buffer.concat([four, extension(3, Buffer.alloc(4))]))],
  ] as const) {
    test(`${what} is refused`, () => {
      assert.equal(readProxyHeader(bytes).kind, 'malformed')
      // Pieces of it may look good, never as if they were a header.
      for (let length = 0; length < bytes.length; length++) {
        assert.notEqual(readProxyHeader(bytes.subarray(0, length)).kind, 'complete', `of ${length} bytes`)
      }
    })
  }
})

const address = fc.oneof(fc.ipV4(), fc.ipV6())
const end = fc.record({ address, port: fc.nat(65535) })

/** The text by which an address is compared, by the parser of URLs. */
function canonical(text: string): string {
  if (!text.includes(':')) return text
  const { hostname } = new URL(`http://[${text}]`)
  const mapped = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(hostname)
  if (mapped === null) return hostname.slice(1, -1)
  const word = parseInt(mapped[1] ?? '', 16) * 65536 + parseInt(mapped[2] ?? '', 16)
  return [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.')
}

test('what is written is read again, in both versions', () => {
  fc.assert(
    fc.property(end, end, fc.constantFrom('v1', 'v2'), (source, destination, version) => {
      const bytes = writeProxyHeader(version, { source, destination })
      assert.deepEqual(readProxyHeader(bytes), {
        kind: 'complete',
        bytes: bytes.length,
        ends: {
          source: { ...source, address: canonical(source.address) },
          destination: { ...destination, address: canonical(destination.address) },
        },
      })
    }),
  )
})

test('ends that are no addresses are written as unknown', () => {
  const ends = { source: { address: '', port: 0 }, destination: { address: '10.0.0.1', port: 1 } }
  for (const version of ['v1', 'v2'] as const) {
    const bytes = writeProxyHeader(version, ends)
    assert.deepEqual(readProxyHeader(bytes), { kind: 'complete', bytes: bytes.length, ends: null })
  }
})

test('the gateway’s own header names nobody', () => {
  for (const version of ['v1', 'v2'] as const) {
    const bytes = ownProxyHeader(version)
    assert.deepEqual(readProxyHeader(bytes), { kind: 'complete', bytes: bytes.length, ends: null })
  }
  assert.equal(ownProxyHeader('v2')[12], 0x20)
})

test('whatever comes, it never throws, never reads beyond the bytes, and stays with its verdict', () => {
  const start = fc.constantFrom(
    Buffer.alloc(0),
    line('PROXY '),
    line('PROXY TCP4 1.2.3.4 '),
    signature,
    binary(0x21, 0x11),
  )
  const noise = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.string({ maxLength: 120 }).map(line))
  fc.assert(
    fc.property(start, noise, fc.uint8Array({ maxLength: 40 }), (head, middle, tail) => {
      const bytes = Buffer.concat([head, middle])
      const header = readProxyHeader(bytes)
      const longer = readProxyHeader(Buffer.concat([bytes, tail]))
      if (header.kind !== 'incomplete') assert.deepEqual(longer, header)
      if (header.kind === 'complete') assert.ok(header.bytes <= bytes.length)
    }),
    { numRuns: 2000 },
  )
})
