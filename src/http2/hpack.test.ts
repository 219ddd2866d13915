import { WriteBatch } from '../http/write-batch.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { HpackDecoder } from './hpack-decoder.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import { decodeHuffman } from './huffman.ts'
import { SharedMemory } from './shared-memory.ts'

function createDecoder(listBytesMax = 100_000): HpackDecoder {
  return new HpackDecoder(listBytesMax, new SharedMemory(new WriteBatch(() => {})))
}

function decode(decoder: HpackDecoder, block: Buffer): string[] {
  assert.equal(decoder.decode(block, 0, block.length), true, `cannot read ${block.toString('hex')}`)
  return Array.from({ length: decoder.count }, (_, i) => `${decoder.names[i]?.name}: ${decoder.values[i]}`)
}

function hex(text: string): Buffer {
  return Buffer.from(text.replace(/\s+/g, ''), 'hex')
}

/** A change of the table's size to 256, which the examples of responses presuppose. */
const sizeOf256 = '3fe101'

const first = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com']
const second = [...first, 'cache-control: no-cache']
const third = [
  ':method: GET',
  ':scheme: https',
  ':path: /index.html',
  ':authority: www.example.com',
  'custom-key: custom-value',
]
const found = [
  ':status: 302',
  'cache-control: private',
  'date: Mon, 21 Oct 2013 20:13:21 GMT',
  'location: https://www.example.com',
]
const lastReply = [
  ':status: 200',
  'cache-control: private',
  'date: Mon, 21 Oct 2013 20:13:22 GMT',
  'location: https://www.example.com',
  'content-encoding: gzip',
  'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
]

describe('the examples of RFC 7541 appendix C', () => {
  const cases: [string, [string, string[]][]][] = [
    [
      'C.2.1 literal with indexing',
      [['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', ['custom-key: custom-header']]],
    ],
    ['C.2.2 literal without indexing', [['040c 2f73 616d 706c 652f 7061 7468', [':path: /sample/path']]]],
    ['C.2.3 literal never indexed', [['1008 7061 7373 776f 7264 0673 6563 7265 74', ['password: secret']]]],
    ['C.2.4 indexed', [['82', [':method: GET']]]],
    [
      'C.3 requests without Huffman code',
      [
        ['8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', first],
        ['8286 84be 5808 6e6f 2d63 6163 6865', second],
        ['8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65', third],
      ],
    ],
    [
      'C.4 requests with Huffman code',
      [
        ['8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff', first],
        ['8286 84be 5886 a8eb 1064 9cbf', second],
        ['8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf', third],
      ],
    ],
    [
      'C.5 replies without Huffman code, with evictions',
      [
        [
          `${sizeOf256} 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133
           3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
          found,
        ],
        ['4803 3330 37c1 c0bf', [':status: 307', ...found.slice(1)]],
        [
          `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
           666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
           3630 303b 2076 6572 7369 6f6e 3d31`,
          lastReply,
        ],
      ],
    ],
    [
      'C.6 replies with Huffman code, with evictions',
      [
        [
          `${sizeOf256} 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d
           29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
          found,
        ],
        ['4883 640e ffc1 c0bf', [':status: 307', ...found.slice(1)]],
        [
          `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
           b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
          lastReply,
        ],
      ],
    ],
  ]
  for (const [title, blocks] of cases) {
    test(title, () => {
      const decoder = createDecoder()
      for (const [block, fields] of blocks) assert.deepEqual(decode(decoder, hex(block)), fields)
    })
  }
})

describe('blocks that cannot be read', () => {
  const cases: [string, string][] = [
    ['§2.3.3 an index past both tables', 'be'],
    ['§6.1 index 0', '80'],
    ['§5.1 an integer that breaks off', 'ff'],
    ['§5.1 an integer without end', 'ffffffffffffffffffffff01'],
    ['§5.2 a string longer than its block', '400a 6375'],
    ['§5.2 a string without a length', '0401 61'.slice(0, 4)],
    ['§5.2 padding of zeros', '0481 00'],
    ['§5.2 padding of more than seven bits', '0482 1fff'],
    ['§5.2 the end symbol', '0484 ffffffff'],
    ['§4.2 a table larger than was allowed', '3fe23f'],
    ['§4.2 a change of the table behind a field', '8220'],
  ]
  for (const [title, block] of cases) {
    test(title, () => {
      const bytes = hex(block)
      assert.equal(createDecoder().decode(bytes, 0, bytes.length), false)
    })
  }

  test('no bytes make it throw, and it never hands out more than it may', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), blocks => {
        const decoder = createDecoder(2_000)
        for (const block of blocks) {
          if (!decoder.decode(Buffer.from(block), 0, block.length)) return
          let size = 0
          for (let i = 0; i < decoder.count; i++)
            size += (decoder.names[i]?.name.length ?? 0) + (decoder.values[i]?.length ?? 0) + 32
          assert.ok(size <= 2_000)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

test('a list of fields that is too large is read to its end, and the table stays right', () => {
  const decoder = createDecoder(100)
  const encoder = new HpackEncoder()
  encoder.start()
  for (let i = 0; i < 3; i++) encoder.field('x-long', 'v'.repeat(40))
  decoder.decode(encoder.bytes, 0, encoder.length)
  assert.equal(decoder.isTooLarge, true)
  assert.equal(decoder.count, 1)
  encoder.start()
  encoder.field('x-long', 'v'.repeat(40))
  assert.equal(encoder.length, 1)
  assert.deepEqual(decode(decoder, encoder.bytes.subarray(0, 1)), [`x-long: ${'v'.repeat(40)}`])
})

test('§7.1.3: secrets never enter the table', () => {
  const encoder = new HpackEncoder()
  const decoder = createDecoder()
  for (let i = 0; i < 4; i++) {
    encoder.start()
    for (const name of ['authorization', 'cookie', 'set-cookie', 'x-api-key']) encoder.field(name, 'secret')
    assert.equal(encoder.bytes[0], 0x1f, 'a literal never indexed')
    assert.equal(decode(decoder, encoder.bytes.subarray(0, encoder.length)).length, 4)
    assert.ok(encoder.length > 4 * 7)
  }
})

const name = fc.stringMatching(/^[a-z0-9-]{1,12}$/)
const value = fc.oneof(
  fc.constantFrom('', 'gzip', 'application/json', 'x'.repeat(2_000)),
  fc.stringMatching(/^([!-~]([ -~]{0,30}[!-~])?)?$/),
)

test('what the encoder writes the decoder reads, over many blocks and sizes of the table', () => {
  const block = fc.record({
    fields: fc.array(fc.tuple(fc.oneof(name, fc.constantFrom('date', 'content-type', 'cookie', 'x-a')), value), {
      maxLength: 8,
    }),
    resizes: fc.array(fc.integer({ min: 0, max: 8_192 }), { maxLength: 2 }),
  })
  fc.assert(
    fc.property(fc.array(block, { maxLength: 20 }), blocks => {
      const encoder = new HpackEncoder()
      const decoder = createDecoder()
      for (const { fields, resizes } of blocks) {
        for (const size of resizes) encoder.resize(size)
        encoder.start()
        for (const [key, text] of fields) encoder.field(key, text)
        const expected = fields.map(([key, text]) => `${key}: ${text}`)
        assert.deepEqual(decode(decoder, Buffer.from(encoder.bytes.subarray(0, encoder.length))), expected)
      }
    }),
  )
})

test('an octet in the Huffman code never decodes to more than two, nor past its room', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
      const room = new Uint8Array(bytes.length * 2)
      assert.ok(decodeHuffman(bytes, 0, bytes.length, room) <= room.length)
    }),
  )
})
