// Calls that somebody tampered with: each starts from one that passes.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { CallOptions } from '../../../test/tools/call.ts'
import {
  algorithms,
  build,
  callOf,
  digestOf,
  now,
  publicAlgorithms,
  publicPem,
  type Signing,
  signFields,
  target,
} from '../../../test/tools/signatures.ts'

const body = '{"to": "ada", "amount": 12}'
const fields: readonly (readonly [string, string])[] = [
  ['Content-Type', 'application/json'],
  ['X-Dict', 'a=1, b=2'],
  ['Content-Digest', digestOf(body)],
]
const signing: Signing = {
  components: [
    ...target,
    ['"content-type"', 'application/json'],
    ['"x-dict"', 'a=1, b=2'],
    ['"content-digest"', digestOf(body)],
  ],
}
const signed = Object.entries(signFields(signing))
const structured = { 'x-dict': 'dictionary' } as const

async function statusOf(headers: readonly (readonly [string, string])[], more: CallOptions = {}): Promise<number> {
  const policy = build({ structured })
  const { status } = await policy.step(callOf(headers, { body, ...more }))
  assert.equal(policy.next.calls.length, status === 200 ? 1 : 0)
  return status
}

/** The two signature fields after a change of their texts. */
function changed(input: (text: string) => string, signature: (text: string) => string = text => text) {
  const [[, inputText], [, signatureText]] = signed as [[string, string], [string, string]]
  return [...fields, ['Signature-Input', input(inputText)], ['Signature', signature(signatureText)]] as const
}

/** Signed rightly, but otherwise. */
async function signedAs(more: Signing, extra: readonly (readonly [string, string])[] = []): Promise<number> {
  return statusOf([...fields, ...extra, ...Object.entries(signFields({ ...signing, ...more }))])
}

test('the call itself passes', async () => {
  assert.equal(await statusOf([...fields, ...signed]), 200)
  // A signature without the key's algorithm in it, and with it.
  assert.equal(await signedAs({ parameters: `;created=${now};keyid="ed25519";alg="ed25519"` }), 200)
  // White space that structured fields allow means nothing.
  assert.equal(await statusOf(changed(text => text.replaceAll('" "', '"   "').replaceAll(';', '; '))), 200)
  assert.equal(await statusOf([...fields.map(([name, value]) => [name, `  ${value}\t `] as const), ...signed]), 200)
})

test('components in another order, left out, added, or twice', async () => {
  assert.equal(await statusOf(changed(text => text.replace('"@method" "@authority"', '"@authority" "@method"'))), 401)
  assert.equal(await statusOf(changed(text => text.replace('"x-dict" ', ''))), 401)
  assert.equal(await statusOf(changed(text => text.replace(')', ' "host")'))), 401)
  const twice = (identifier: string, value: string): Signing => ({
    components: [...(signing.components ?? []), [identifier, value]],
  })
  assert.equal(await signedAs(twice('"content-type"', 'application/json')), 401)
  const both: Signing = {
    components: [...(signing.components ?? []), ['"x-dict";key="a"', '1'], ['"x-dict";key="a"', '1']],
  }
  assert.equal(await signedAs(both), 401)
  assert.equal(await signedAs(twice('"x-dict";key="a"', '1')), 200)
})

test('a component that is not known, belongs elsewhere, or has a parameter that is not supported', async () => {
  const identifiers = [
    ...['"@status"', '"@signature-params"', '"@unknown"', '"@method";req', '"@path";sf', '"@query-param"'],
    ...['"@query-param";name=b', '"@query-param";name="b";req', '"content-type";tr', '"content-type";req'],
    ...[
      '"content-type";sf',
      '"content-type";x',
      '"x-dict";sf;bs',
      '"x-dict";key=a',
      '"x-dict";key="z"',
      '"x-dict";sf=1',
    ],
    ...[
      '"x-dict";bs=?0',
      '"Content-Type"',
      '"content-type "',
      '""',
      '"content type"',
      '"a:b"',
      'content-type',
      '1',
      ':YQ==:',
    ],
    ...['"x-missing"', '"connection"', '"transfer-encoding"', '"te"'],
  ]
  for (const identifier of identifiers) {
    const more = { components: [...(signing.components ?? []), [identifier, 'application/json'] as const] }
    assert.equal(await signedAs(more), 401, identifier)
  }
})

test('labels and parameters that stand twice, and fields that do not fit together', async () => {
  const [, [, value]] = signed as [[string, string], [string, string]]
  const inputs: ((text: string) => string)[] = [
    text => `${text}, ${text}`,
    text => `${text};created=${now}`,
    text => `${text};keyid="ed25519"`,
    text => text.replace('sig=', 'other='),
    text => `${text}, more=()`,
    text => `${text},`,
    text => text.replace(/\(.*\)/, '"x"'),
    text => text.replace(/\(.*\)/, ''),
    () => '',
    () => 'sig',
  ]
  for (const [index, input] of inputs.entries()) assert.equal(await statusOf(changed(input)), 401, `input ${index}`)
  const signatures: ((text: string) => string)[] = [
    text => `${text}, ${text}`,
    text => `${text}, more=:AAAA:`,
    text => text.toLowerCase(),
    text => text.replace('sig=', 'SIG='),
    text => text.replaceAll(':', '"'),
    text => text.replace('=:', '=(:').replace(/:$/, ':)'),
    text => text.slice(0, -1),
    text => text.replace(/=:$/, ':'),
    text => text.replace('=:', '=: '),
    () => '',
    () => 'sig=::',
    text => `${text};a`,
    text => `${text};alg="none"`,
  ]
  for (const [index, signature] of signatures.entries()) {
    assert.equal(await statusOf(changed(text => text, signature)), 401, `signature ${index}`)
  }
  // A second pair of fields, in whatever order, is one more label of the same name.
  assert.equal(await statusOf([...fields, ...signed, ...signed]), 401)
  assert.equal(await statusOf([...fields, ...signed, ['Signature', value]]), 401)
})

test('fields that were signed, with others of the name before or behind them, or in another case or spacing', async () => {
  for (const [index, [name, value]] of fields.entries()) {
    const others: [string, string][][] = [
      [
        [name, value],
        [name, value],
      ],
      [
        [name, ''],
        [name, value],
      ],
      [
        [name, value],
        [name, ''],
      ],
      [[name, value.toUpperCase()]],
      [[name, value.replace(/[=/,]/, '$& ')]],
      [[name, `${value},`]],
      [[name, `${value}\u00a0`]],
      [[name, `${value}\u00e9`]],
      [],
    ]
    for (const other of others) {
      const headers = [...fields.slice(0, index), ...other, ...fields.slice(index + 1), ...signed]
      assert.equal(await statusOf(headers), 401, JSON.stringify(other))
    }
  }
})

const statusWithDigests = (value: string): Promise<number> =>
  statusOf([
    ...fields.slice(0, 2),
    ['Content-Digest', value],
    ...Object.entries(
      signFields({ components: [...(signing.components ?? []).slice(0, -1), ['"content-digest"', value]] }),
    ),
  ])

test('two digests: each that can be checked must be right, and none may stand twice', async () => {
  const good = digestOf(body)
  const long = digestOf(body, 'sha512')
  assert.equal(await statusWithDigests(`${good}, ${long}`), 200)
  assert.equal(await statusWithDigests(`${good}, md5=:AAAA:`), 200)
  for (const bad of [
    `${good}, ${good}`,
    `${good}, sha-512=:AAAA:`,
    `${digestOf('x')}, ${long}`,
    'md5=:AAAA:',
    good.slice(0, -1),
  ]) {
    assert.equal(await statusWithDigests(bad), 401, bad)
  }
})

test('method, authority, path and query that are others than were signed', async () => {
  const all = [...fields, ...signed]
  for (const method of ['GET', 'PUT', 'post']) assert.equal(await statusOf(all, { method }), 401, method)
  for (const host of ['api.acme.test.', 'api.acme.test:81', 'api.acme.test:443', 'acme.test']) {
    assert.equal(await statusOf(all, { host }), 401, host)
  }
  for (const target of [
    '/A?b=c',
    '/a/?b=c',
    '/%61?b=c',
    '/a?b=C',
    '/a?b=c&',
    '/a?b=c&d',
    '/a?%62=c',
    '/a',
    '/a??b=c',
  ]) {
    assert.equal(await statusOf(all, { target }), 401, target)
  }
})

test('an algorithm is that of the key: the parameter cannot choose another, nor a public key be a secret', async () => {
  for (const algorithm of algorithms) {
    for (const other of [...algorithms, 'none', 'HMAC-SHA256', 'rsa-pss-sha256']) {
      const parameters = `;created=${now};keyid="${algorithm}";alg="${other}"`
      assert.equal(
        await signedAs({ algorithm, parameters }),
        algorithm === other ? 200 : 401,
        `${algorithm} as ${other}`,
      )
      if (algorithm === other || !algorithms.includes(other as never)) continue
      // Signed by the key of the one, in the name of the other.
      const named = `;created=${now};keyid="${algorithm}"`
      assert.equal(await signedAs({ algorithm: other as (typeof algorithms)[number], parameters: named }), 401)
    }
  }
  for (const algorithm of publicAlgorithms) {
    for (const alg of ['', ';alg="hmac-sha256"', `;alg="${algorithm}"`]) {
      const { components = [] } = signing
      const list = `(${components.map(([name]) => name).join(' ')});created=${now};keyid="${algorithm}"${alg}`
      const base = `${components.map(([name, value]) => `${name}: ${value}\n`).join('')}"@signature-params": ${list}`
      for (const secret of [publicPem(algorithm), publicPem(algorithm).trim()]) {
        const mac = createHmac('sha256', secret).update(base).digest('base64')
        const headers = [...fields, ['Signature-Input', `sig=${list}`], ['Signature', `sig=:${mac}:`]] as const
        assert.equal(await statusOf(headers), 401, algorithm)
      }
    }
  }
})

test('ECDSA: the DER form and zero are no signatures', async () => {
  const { components = [] } = signing
  const list = `(${components.map(([name]) => name).join(' ')});created=${now};keyid="ecdsa-p256-sha256"`
  for (const bytes of [
    Buffer.alloc(64),
    Buffer.alloc(0),
    Buffer.alloc(63, 1),
    Buffer.alloc(70, 0x30),
    Buffer.alloc(128, 1),
  ]) {
    const headers = [
      ...fields,
      ['Signature-Input', `sig=${list}`],
      ['Signature', `sig=:${bytes.toString('base64')}:`],
    ] as const
    assert.equal(await statusOf(headers), 401)
  }
})

test('keys that are not there, and names of keys that are tricks', async () => {
  for (const keyId of ['nobody', '', 'ED25519', 'ed25519 ', '__proto__', 'constructor', 'x'.repeat(7000)]) {
    assert.equal(await signedAs({ parameters: `;created=${now};keyid="${keyId}"` }), 401, keyId.slice(0, 20))
  }
  assert.equal(await signedAs({ parameters: `;created=${now}` }), 401)
  assert.equal(await signedAs({ parameters: `;created=${now};keyid=ed25519` }), 401)
})

test('huge fields are refused unread, and many signatures or components past their bounds', async () => {
  const startMs = performance.now()
  const huge = [
    changed(text => `${text};x="${'a'.repeat(1_000_000)}"`),
    changed(
      text => text,
      text => `${text}${' '.repeat(1_000_000)}`,
    ),
    changed(text => Array.from({ length: 5 }, (_, i) => text.replace('sig=', `s${i}=`)).join(', ')),
    changed(() => `sig=(${Array.from({ length: 40 }, (_, i) => `"x-${i}"`).join(' ')});created=${now};keyid="ed25519"`),
    changed(() => `sig=${'('.repeat(5000)}`),
  ]
  for (const headers of huge) assert.equal(await statusOf(headers), 401)
  const member = { components: [...(signing.components ?? []), ['"x-big";key="a"', '1'] as const] }
  assert.equal(await signedAs(member, [['X-Big', `a=1, b="${'x'.repeat(10_000)}"`]]), 401)
  assert.ok(performance.now() - startMs < 5_000)
})

const withoutSpace = (a: string) => a.replace(/[ \t]+/g, '')

test('whatever is changed in a signed call, it does not pass', async () => {
  const all = [...fields, ...signed]
  const place = fc.record({
    field: fc.integer({ min: 0, max: all.length - 1 }),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    count: fc.integer({ min: 0, max: 3 }),
    text: fc.string({
      unit: fc.integer({ min: 0x20, max: 0xff }).map(code => String.fromCharCode(code)),
      maxLength: 3,
    }),
  })
  let refused = 0
  await fc.assert(
    fc.asyncProperty(place, async ({ field, at, count, text }) => {
      const [name, value] = all[field] as [string, string]
      const from = Math.floor(at * (value.length + 1))
      const other = value.slice(0, from) + text + value.slice(from + count)
      // White space around a value, and between the parts of a structured field, is none of it.
      if (withoutSpace(other) === withoutSpace(value)) return
      const headers = all.map((pair, index) => (index === field ? ([name, other] as const) : pair))
      assert.equal(await statusOf(headers), 401, other)
      refused++
    }),
    { numRuns: 1500 },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: body.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      async (at, flip) => {
        const bytes = Buffer.from(body)
        bytes[at] = (bytes[at] ?? 0) ^ flip
        assert.equal(await statusOf(all, { body: bytes.toString('latin1') }), 401)
      },
    ),
  )
  assert.ok(refused > 1000, `${refused} mutations were refused`)
})
