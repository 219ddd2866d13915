// What the RFCs publish: the requests of RFC 9421 appendix B with its keys, the examples of its section 2, the digests of RFC 9530.

import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { test } from 'node:test'
import { Headers } from '../../core/headers.ts'
import { principal } from '../../core/principal.ts'
import { isSigned, readSigningKey, registerPublicKey, registerSecret } from '../../identity/signing-key.ts'
import { readItem } from '../../identity/structured-fields.ts'
import { type CallOptions, makeCall } from '../../../test/tools/call.ts'
import { build, identityOf } from '../../../test/tools/signatures.ts'
import { compileComponent } from './components.ts'
import { isDigestOf, readContentDigest } from './content-digest.ts'
import { readSigned, signatureBase } from './signed.ts'

const pem = (base64: string, kind = 'PUBLIC KEY') => `-----BEGIN ${kind}-----\n${base64}\n-----END ${kind}-----\n`
const rsa = pem(
  'MIIBCgKCAQEAhAKYdtoeoy8zcAcR874L8cnZxKzAGwd7v36APp7Pv6Q2jdsPBRrwWEBnez6d0UDKDwGbc6nxfEXAy5mbhgajzrw3MOEt8uA5txSKobBpKDeBLOsdJKFqMGmXCQvEG7YemcxDTRPxAleIAgYYRjTSd/QBwVW9OwNFhekro3RtlinV0a75jfZgkne/YiktSvLG34lw2zqXBDTC5NHROUqGTlML4PlNZS5Ri2U4aCNx2rUPRcKIlE0PuKxI4T+HIaFpv8+rdV6eUgOrB2xeI1dSFFn/nnv5OoZJEIB+VmuKn3DCUcCZSFlQPSXSfBDiUGhwOw76WuSSsf1D4b/vLoJ10wIDAQAB',
  'RSA PUBLIC KEY',
)
const rsaPss = pem(
  'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI2wIDAQAB',
)
const p256 = pem(
  'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==',
)
const ed25519 = pem('MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=')
const sharedSecret = 'uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=='

const credentials = {
  'signature:test-key-rsa-pss': identityOf('test-key-rsa-pss', registerPublicKey(rsaPss, 'rsa-pss-sha512')),
  'signature:test-key-ecc-p256': identityOf('test-key-ecc-p256', registerPublicKey(p256, null)),
  'signature:test-key-ed25519': identityOf('test-key-ed25519', registerPublicKey(ed25519, null)),
  'signature:test-shared-secret': identityOf('test-shared-secret', registerSecret(sharedSecret, 'base64')),
}
const created = 1_618_884_473
const body = '{"hello": "world"}'
const contentDigest =
  'sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:'
const fields: [string, string][] = [
  ['Date', 'Tue, 20 Apr 2021 02:07:55 GMT'],
  ['Content-Type', 'application/json'],
  ['Content-Digest', contentDigest],
]

/** The request of appendix B.2, with a signature. */
function testRequest(label: string, input: string, signature: string, more: Partial<CallOptions> = {}): CallOptions {
  const signed: [string, string][] = [
    ['Signature-Input', `${label}=${input}`],
    ['Signature', `${label}=:${signature}:`],
  ]
  const target = '/foo?param=Value&Pet=dog'
  return { method: 'POST', target, host: 'example.com', body, headers: [...fields, ...signed], ...more }
}

interface Vector {
  readonly section: string
  readonly request: CallOptions
  readonly cover: string[]
  /** Differs from the request in what the signature covers. */
  readonly others: readonly Partial<CallOptions>[]
}

const b21 = testRequest(
  'sig-b21',
  '();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"',
  'd2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==',
)
const b22 = testRequest(
  'sig-b22',
  '("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example"',
  'LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==',
)
const b23 = testRequest(
  'sig-b23',
  '("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"',
  'bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==',
)
const b25 = testRequest(
  'sig-b25',
  '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
  'pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=',
)
const b26 = testRequest(
  'sig-b26',
  '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
  'wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==',
)
/** The request that a proxy makes, of appendix B.3, and its certificate. */
const clientCert =
  ':MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:'
const b3 = testRequest(
  'ttrp',
  '("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256"',
  'xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==',
  { host: 'service.internal.example', body: '' },
)
const b3WithCertificate = {
  ...b3,
  headers: [...(b3.headers as [string, string][]), ['Client-Cert', clientCert] as const],
}

/** The same with another value of one field. */
function withField({ headers }: CallOptions, name: string, value: string): Partial<CallOptions> {
  const given = headers as [string, string][]
  assert.ok(given.some(([field]) => field === name))
  return { headers: given.map(([field, before]) => [field, field === name ? value : before] as const) }
}

const elsewhere = { host: 'example.org' }
const otherQuery = { target: '/foo?param=Value&Pet=cat' }
const otherTarget = [elsewhere, otherQuery, { target: '/bar?param=Value&Pet=dog' }, { method: 'PUT' }]
const otherDate = 'Tue, 20 Apr 2021 02:07:56 GMT'

/** Of those with a body, only the ones that sign its digest can pass; the others are asked without. */
const vectors: readonly Vector[] = [
  {
    section: 'B.2.2',
    request: b22,
    cover: ['@authority', '"@query-param";name="Pet"'],
    others: [elsewhere, otherQuery, { body: '{"hello": "World"}' }, withField(b22, 'Content-Digest', 'sha-256=:AAAA:')],
  },
  {
    section: 'B.2.3',
    request: b23,
    cover: ['@method', '@authority', '@path', '@query', 'date'],
    others: [
      ...otherTarget,
      { body: 'x' },
      withField(b23, 'Date', otherDate),
      withField(b23, 'Content-Type', 'text/plain'),
    ],
  },
  {
    section: 'B.2.5',
    request: { ...b25, body: '' },
    cover: ['@authority', 'date'],
    others: [elsewhere, withField(b25, 'Date', otherDate), withField(b25, 'Content-Type', 'text/plain')],
  },
  {
    section: 'B.3',
    request: b3WithCertificate,
    cover: ['@method', '@authority', '@path', '@query', 'client-cert'],
    others: [...otherTarget, withField(b3WithCertificate, 'Client-Cert', ':AAAA:')],
  },
]

const ask = (options: Parameters<typeof build>[0], request: CallOptions) => {
  const { step, next } = build(options, { credentials, now: created + 5 })
  const call = makeCall(request)
  return step(call).then(({ status }) => ({ status, next, call }))
}

for (const { section, request, cover, others } of vectors) {
  test(`RFC 9421 ${section} passes, and nothing passes that differs in what is signed`, async () => {
    const { status, next, call } = await ask({ cover }, request)
    assert.equal(status, 200, call.refusal)
    assert.equal(next.calls[0]?.facts.get(principal)?.consumer?.name, 'acme')
    for (const other of others) {
      assert.equal((await ask({ cover }, { ...request, ...other })).status, 401, JSON.stringify(other))
    }
  })
}

test('RFC 9421 B.2.1 signs nothing: it is right, and no cover is small enough for it', async () => {
  const { status, call } = await ask({ cover: ['@method'] }, b21)
  assert.deepEqual([status, call.refusal], [401, 'the signature does not cover @method'])
  // Without a bound on what is covered, the check of the signature itself is left.
  const base = '"@signature-params": ();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"'
  const signature = /:(.*):/.exec(new Map(b21.headers as [string, string][]).get('Signature') ?? '')?.[1] ?? ''
  const key = readSigningKey(registerPublicKey(rsaPss, null))
  assert.ok(key !== null && (await isSigned(key, Buffer.from(base), Buffer.from(signature, 'base64'))))
})

test('RFC 9421 B.2.6 covers the length of the body but no digest: it is right, and refused with that body', async () => {
  const { status, call } = await ask({ cover: ['@method', '@path', '@authority', 'content-length'] }, b26)
  assert.deepEqual([status, call.refusal], [401, 'the signature does not cover content-digest'])
  const base = [
    '"date": Tue, 20 Apr 2021 02:07:55 GMT',
    ...['"@method": POST', '"@path": /foo', '"@authority": example.com', '"content-type": application/json'],
    '"content-length": 18',
    '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
  ].join('\n')
  const rules = { types: {}, parsedMax: 8000, fieldMax: 8000, signaturesMax: 4, componentsMax: 32 }
  const [signed] = readSigned(makeCall(b26), null, rules) as Exclude<ReturnType<typeof readSigned>, { kind: unknown }>
  assert.ok(signed !== undefined)
  assert.equal(signatureBase(makeCall(b26), signed)?.toString(), base)
  assert.ok(verify(null, Buffer.from(base), createPublicKey(ed25519), signed.signature))
})

const accepts = (...values: string[]) => values.map(value => ['Accept', value] as [string, string])

test('RFC 9421 B.4: what a proxy may change, and what it may not', async () => {
  const signature = 'ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA=='
  const signed: [string, string][] = [
    [
      'Signature-Input',
      'transform=("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"',
    ],
    ['Signature', `transform=:${signature}:`],
  ]
  const date: [string, string] = ['Date', 'Fri, 15 Jul 2022 14:24:55 GMT']
  const target = '/demo?name1=Value1&Name2=value2'
  const request = { target, host: 'example.org', headers: [date, ...accepts('application/json', '*/*'), ...signed] }
  const cover = ['@method', '@path', '@authority', 'accept']
  const good: CallOptions[] = [
    request,
    {
      ...request,
      target: `${target}&param=added`,
      headers: [['Accept-Language', 'en-US,en;q=0.5'], ...request.headers],
    },
    {
      ...request,
      headers: [...accepts('application/json', '*/*'), ...signed, ['Referer', 'https://developer.example.org/demo']],
    },
    { ...request, headers: [...accepts('application/json, */*'), date, ...signed] },
  ]
  for (const call of good) assert.equal((await ask({ cover }, call)).status, 200, JSON.stringify(call))
  const bad: CallOptions[] = [
    { ...request, method: 'POST' },
    { ...request, host: 'example.com' },
    { ...request, headers: [date, ...accepts('*/*', 'application/json'), ...signed] },
    { ...request, headers: [date, ...accepts('application/json'), ...signed] },
  ]
  for (const call of bad) assert.equal((await ask({ cover }, call)).status, 401, JSON.stringify(call))
})

const rules = { types: { 'example-dict': 'dictionary' }, parsedMax: 1000 } as const

function valueOf(identifier: string, request: CallOptions): string | null {
  const item = readItem(identifier)
  assert.ok(item !== null, identifier)
  const component = compileComponent(item, rules)
  assert.ok(typeof component !== 'string', typeof component === 'string' ? component : '')
  return component.value(makeCall(request))
}

test('RFC 9421 section 2.1: fields, structured fields, their members, and binary wrapping', () => {
  const headers: [string, string][] = [
    ['Host', 'www.example.com'],
    ['Date', 'Tue, 20 Apr 2021 02:07:56 GMT'],
    ['X-OWS-Header', '  Leading and trailing whitespace.   '],
    ['Cache-Control', 'max-age=60'],
    ['Cache-Control', '   must-revalidate'],
    ['X-Empty-Header', ''],
    ['Example-Dict', ' a=1,    b=2;x=1;y=2,   c=(a   b   c)'],
    ['Example-Header', 'value, with, lots'],
    ['Example-Header', 'of, commas'],
  ]
  const at = (identifier: string) => valueOf(identifier, { headers })
  assert.equal(at('"date"'), 'Tue, 20 Apr 2021 02:07:56 GMT')
  assert.equal(at('"x-ows-header"'), 'Leading and trailing whitespace.')
  assert.equal(at('"cache-control"'), 'max-age=60, must-revalidate')
  assert.equal(at('"x-empty-header"'), '')
  assert.equal(at('"example-dict"'), 'a=1,    b=2;x=1;y=2,   c=(a   b   c)')
  assert.equal(at('"example-dict";sf'), 'a=1, b=2;x=1;y=2, c=(a b c)')
  assert.equal(at('"example-dict";key="a"'), '1')
  assert.equal(at('"example-dict";key="b"'), '2;x=1;y=2')
  assert.equal(at('"example-dict";key="c"'), '(a b c)')
  assert.equal(at('"example-dict";key="d"'), null)
  assert.equal(at('"example-header"'), 'value, with, lots, of, commas')
  assert.equal(at('"example-header";bs'), ':dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:')
})

test('RFC 9421 section 2.2: derived components', () => {
  const tls = { peer: { scheme: 'https' } } as const
  const request = { method: 'POST', target: '/path?param=value', host: 'www.example.com', ...tls }
  assert.equal(valueOf('"@method"', request), 'POST')
  assert.equal(valueOf('"@target-uri"', request), 'https://www.example.com/path?param=value')
  assert.equal(valueOf('"@authority"', request), 'www.example.com')
  assert.equal(valueOf('"@authority"', { ...request, host: 'WWW.Example.com:443' }), 'www.example.com')
  assert.equal(valueOf('"@authority"', { ...request, host: 'www.example.com:8443' }), 'www.example.com:8443')
  assert.equal(valueOf('"@authority"', { host: 'www.example.com:443' }), 'www.example.com:443')
  assert.equal(valueOf('"@scheme"', { ...request, peer: { scheme: 'http' } }), 'http')
  assert.equal(valueOf('"@request-target"', request), '/path?param=value')
  assert.equal(valueOf('"@path"', request), '/path')
  assert.equal(valueOf('"@query"', request), '?param=value')
  assert.equal(valueOf('"@query"', { target: '/path' }), '?')
  assert.equal(valueOf('"@query"', { target: '/path?' }), '?')
  assert.equal(valueOf('"@query"', { target: '/path?queryString' }), '?queryString')
  assert.equal(valueOf('"@path"', { target: '/a%2Db%20c?x' }), '/a%2Db%20c')
})

test('RFC 9421 section 2.2.8: parameters of the query', () => {
  const plain = { target: '/path?param=value&foo=bar&baz=batman&qux=' }
  assert.equal(valueOf('"@query-param";name="baz"', plain), 'batman')
  assert.equal(valueOf('"@query-param";name="qux"', plain), '')
  assert.equal(valueOf('"@query-param";name="param"', plain), 'value')
  assert.equal(valueOf('"@query-param";name="none"', plain), null)
  const target =
    '/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something'
  assert.equal(valueOf('"@query-param";name="var"', { target }), 'this%20is%20a%20big%0Amultiline%20value')
  assert.equal(valueOf('"@query-param";name="bar"', { target }), 'with%20plus%20whitespace')
  assert.equal(valueOf('"@query-param";name="fa%C3%A7ade%22%3A%20"', { target }), 'something')
  for (const twice of ['/?a=1&a=1', '/?a=1&%61=2', '/?a&a']) {
    assert.equal(valueOf('"@query-param";name="a"', { target: twice }), null, twice)
  }
  assert.equal(valueOf('"@query-param";name="a"', { target: "/?a=!'()*~-._" }), '%21%27%28%29*%7E-._')
})

test('behind a trusted proxy scheme and authority are what the client used; from others such fields say nothing', () => {
  const headers = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'www.example.com' }
  const host = 'inside.acme.test:8080'
  const uri = '"@target-uri"'
  assert.equal(valueOf(uri, { host, headers, peer: { isTrusted: true } }), 'https://www.example.com/')
  assert.equal(valueOf(uri, { host, headers }), 'http://inside.acme.test:8080/')
  const forged = { 'X-Forwarded-Proto': 'https, http', 'X-Forwarded-Host': 'a.test, b.test' }
  assert.equal(valueOf(uri, { host, headers: forged, peer: { isTrusted: true } }), 'http://inside.acme.test:8080/')
})

const readDigests = (...values: string[]) =>
  readContentDigest(Headers.of(values.map(value => ['Content-Digest', value] as const)))

test('RFC 9530: digests of its examples', () => {
  const hello = Buffer.from('{"hello": "world"}\n')
  const sha256 = 'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:'
  const sha512 = 'sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:'
  for (const digests of [
    readDigests(sha256),
    readDigests(sha512),
    readDigests(sha256, sha512),
    readDigests(`${sha512}, md5=:AAAA:`),
  ]) {
    assert.ok(digests !== null)
    assert.equal(isDigestOf(digests, hello), true)
    assert.equal(isDigestOf(digests, Buffer.from('{"hello": "world"}')), false)
  }
  const both = readDigests(sha256, sha512.replace('YMAa', 'YMAb'))
  assert.ok(both !== null)
  assert.equal(isDigestOf(both, hello), false)
  for (const none of [[], ['md5=:AAAA:'], ['sha-256=1'], ['sha-256=(:AAAA:)'], ['sha-256'], ['x'], [sha256, sha256]]) {
    assert.equal(readDigests(...none), null, none.join())
  }
  const short = readDigests('sha-256=:RK/0qy18MlBSVnWgjwz6lQ==:')
  assert.ok(short !== null)
  assert.equal(isDigestOf(short, hello), false)
})

test('the keys of RFC 9421 B.1 can be registered', () => {
  assert.match(registerPublicKey(rsa, 'rsa-v1_5-sha256'), /^rsa-v1_5-sha256 -----BEGIN PUBLIC KEY-----/)
})
