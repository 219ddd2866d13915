// What is known to have fooled verifiers of tokens. Each is one change of a token that is good, as an access token and an ID token.

import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { claims as accessClaims, encode, head, pair, publicJwk, rsa, rsaJwk, seconds, signed } from './tokens.ts'

/** With what an ID token needs besides. */
export const attackedNonce = 'n-0S6_WzA2Mj'
const claims = { ...accessClaims, iat: seconds, nonce: attackedNonce }
/** The token that the others are made of. */
export const attackedToken: string = signed(head, claims)

const good = attackedToken
const [h = '', p = '', s = ''] = good.split('.')
const raw = Buffer.from(s, 'base64url')
const withSignature = (...parts: readonly Buffer[]) => `${h}.${p}.${Buffer.concat(parts).toString('base64url')}`
const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
const none32 = Buffer.alloc(32)
const one32 = Buffer.concat([Buffer.alloc(31), Buffer.of(1)])

/** A token with more behind its last claim. */
const withTail = (tail: string) => signed(head, `${JSON.stringify(claims).slice(0, -1)},${tail}}`)
const nested = (depth: number) => `"a":${'['.repeat(depth)}${']'.repeat(depth)}`
const withKeyId = (kid: unknown) => signed({ alg: 'ES256', kid }, claims)

function macBy(secret: string | Buffer, header: object): string {
  const text = `${encode(header)}.${encode(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

/** Signed by a key of the attacker's, whatever the header says of it. */
const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const foreignJwk = foreign.publicKey.export({ format: 'jwk' })
function forged(header: object): string {
  const text = `${encode(header)}.${encode(claims)}`
  return `${text}.${sign('sha256', Buffer.from(text), { key: foreign.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** Every way to write it in small and capital letters. */
function casesOf(word: string): string[] {
  return Array.from({ length: 2 ** word.length }, (_, bits) =>
    Array.from(word, (letter, i) => ((bits >> i) & 1 ? letter.toUpperCase() : letter)).join(''),
  )
}

const unsecured = [...casesOf('none'), '', ' none', 'none ', 'none\0'].flatMap(alg => {
  const name = JSON.stringify(alg)
  return [
    [`alg ${name} without signature`, `${encode({ alg })}.${p}.`],
    [`alg ${name} without the last dot`, `${encode({ alg })}.${p}`],
    [`alg ${name} with a signature`, signed({ alg, kid: 'ec' }, claims)],
  ]
})
const mixedCases = [
  ...['es256', 'Es256', 'ES256 ', 'ES256\0', 'ES-256', 'SHA256', 'ES256K', 'RS1', 'constructor', '__proto__'],
  ...['dir', 'RSA1_5', 'PBES2-HS256+A128KW'],
].map(alg => [`alg ${JSON.stringify(alg)}`, signed({ alg, kid: 'ec' }, claims)])
const confusions = [
  [
    'HS256 by the PEM of the RSA key',
    macBy(rsa.publicKey.export({ format: 'pem', type: 'spki' }), { alg: 'HS256', kid: 'rsa' }),
  ],
  [
    'HS256 by its PKCS #1 PEM',
    macBy(rsa.publicKey.export({ format: 'pem', type: 'pkcs1' }), { alg: 'HS256', kid: 'rsa' }),
  ],
  ['HS256 by its DER', macBy(rsa.publicKey.export({ format: 'der', type: 'spki' }), { alg: 'HS256', kid: 'rsa' })],
  ['HS256 by its JWK', macBy(JSON.stringify(rsaJwk), { alg: 'HS256', kid: 'rsa' })],
  ['HS256 by its modulus', macBy(Buffer.from(rsaJwk.n ?? '', 'base64url'), { alg: 'HS256', kid: 'rsa' })],
  ['HS256 by the PEM of the EC key', macBy(pair.publicKey.export({ format: 'pem', type: 'spki' }), head)],
  ['HS256 by an empty secret', macBy('', { alg: 'HS256' })],
  ['HS256 by an empty secret, with the id of a key', macBy('', { alg: 'HS256', kid: 'ec' })],
  ['an EC key as RS256', signed({ alg: 'RS256', kid: 'ec' }, claims)],
  ['an EC key of another curve', signed({ alg: 'ES512', kid: 'ec' }, claims)],
  ['an RSA key as ES256', signed({ alg: 'ES256', kid: 'rsa' }, claims)],
  ['a list of algorithms', signed({ alg: ['ES256'], kid: 'ec' }, claims)],
  ['no algorithm', signed({ kid: 'ec' }, claims)],
]
const embedded = [
  ['embedded jwk', forged({ ...head, jwk: foreignJwk })],
  ['embedded jwk without id', forged({ alg: 'ES256', jwk: foreignJwk })],
  ['embedded jwk of the real key', signed({ ...head, jwk: publicJwk }, claims)],
  ['embedded jwk that is a secret', macBy('k', { alg: 'HS256', jwk: { kty: 'oct', k: encode('k') } })],
  ['jku', forged({ ...head, jku: 'https://evil.test/keys' })],
  ['jku of the issuer', forged({ ...head, jku: 'https://id.acme.test@evil.test/keys' })],
  ['x5u', forged({ ...head, x5u: 'https://evil.test/cert' })],
  ['x5c', forged({ ...head, x5c: ['MIIB'] })],
  ['x5c, rightly signed', signed({ ...head, x5c: ['MIIB'] }, claims)],
  ['signed by a stranger', forged(head)],
  ['signed by a stranger, without id', forged({ alg: 'ES256' })],
]
const keyIds = [
  ['kid as path', '../../../../dev/null'],
  ['kid as path with null', '/dev/null\0'],
  ['kid as SQL', "x' UNION SELECT 'secret"],
  ['kid as SQL that is true', "ec' OR '1'='1"],
  ['kid as command', 'ec; id'],
  ['kid as URL', 'https://evil.test/keys'],
  ['kid with null', 'ec\0'],
  ['kid with blanks', ' ec '],
  ['kid in capitals', 'EC'],
  ['kid of 600 characters', 'k'.repeat(600)],
  ['kid of 100 kB', 'k'.repeat(100_000)],
  ['kid __proto__', '__proto__'],
  ['kid constructor', 'constructor'],
  ['empty kid', ''],
  ['kid as number', 0],
  ['kid as null', null],
  ['kid as list', ['ec']],
  ['kid as object', { toString: 'ec' }],
].map(([name, kid]) => [String(name), withKeyId(kid)])
const headers = [
  ['crit of something known', signed({ ...head, crit: ['exp'] }, claims)],
  ['crit of something unknown', signed({ ...head, crit: ['x'], x: true }, claims)],
  ['empty crit', signed({ ...head, crit: [] }, claims)],
  ['b64 false', signed({ ...head, b64: false, crit: ['b64'] }, claims)],
  ['b64 false without crit', signed({ ...head, b64: false }, claims)],
  ['zip', signed({ ...head, zip: 'DEF' }, claims)],
  ['enc', signed({ ...head, enc: 'A128GCM' }, claims)],
  ['alg twice, none first', signed('{"alg":"none","alg":"ES256","kid":"ec"}', claims)],
  ['alg twice, none last', signed('{"alg":"ES256","alg":"none","kid":"ec"}', claims)],
  ['kid twice', signed('{"alg":"ES256","kid":"ec","kid":"rsa"}', claims)],
  ['typ no text', signed({ ...head, typ: 1 }, claims)],
  ['header a list', signed([head], claims)],
  ['header null', signed('null', claims)],
  ['header with a byte order mark', signed(`\uFEFF${JSON.stringify(head)}`, claims)],
  ['header not UTF-8', `${Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')}.${p}.${s}`],
  ['header empty', `.${p}.${s}`],
]
const payloads = [
  ['a claim twice', withTail('"sub":"root"')],
  ['a claim twice by an escape', withTail('"s\\u0075b":"root"')],
  ['a name twice inside a claim', withTail('"a":{"b":1,"b":2}')],
  ['a name twice inside a list', withTail('"a":[{"b":1,"b":2}]')],
  ['payload a list', signed(head, [claims])],
  ['payload a text', signed(head, '"iss"')],
  ['payload null', signed(head, 'null')],
  ['payload with a comment', signed(head, `${JSON.stringify(claims)}//`)],
  ['payload two objects', signed(head, JSON.stringify(claims).repeat(2))],
  ['lists in lists, 50 deep', withTail(nested(50))],
  ['lists in lists, 2900 deep', withTail(nested(2900))],
  ['payload a token: nested', signed({ ...head, cty: 'JWT' }, good)],
  ['payload a token as JSON text: nested', signed({ ...head, cty: 'JWT' }, JSON.stringify(good))],
  ['encrypted, with a token inside', [encode({ alg: 'dir', enc: 'A128GCM', cty: 'JWT' }), '', p, p, s].join('.')],
  ['payload another', `${h}.${encode({ ...claims, sub: 'root' })}.${s}`],
  ['header another', `${encode({ ...head, typ: 'JWT' })}.${p}.${s}`],
]
const signatures = [
  ['DER', `${h}.${p}.${sign('sha256', Buffer.from(`${h}.${p}`), pair.privateKey).toString('base64url')}`],
  ['all zero', withSignature(Buffer.alloc(64))],
  ['r zero', withSignature(none32, raw.subarray(32))],
  ['s zero', withSignature(raw.subarray(0, 32), none32)],
  ['r and s one', withSignature(one32, one32)],
  ['r and s the order of the curve', withSignature(order, order)],
  ['r the order, s one', withSignature(order, one32)],
  ['r and s all ones', withSignature(Buffer.alloc(64, 0xff))],
  ['r and s swapped', withSignature(raw.subarray(32), raw.subarray(0, 32))],
  ['a byte short', withSignature(raw.subarray(0, 63))],
  ['half', withSignature(raw.subarray(0, 32))],
  ['a byte long', withSignature(raw, Buffer.alloc(1))],
  ['a byte in front', withSignature(Buffer.alloc(1), raw)],
  ['as long as for P-521', withSignature(Buffer.alloc(34), raw, Buffer.alloc(34))],
  ['empty', `${h}.${p}.`],
  ['one bit another', withSignature(raw.subarray(0, 63), Buffer.of((raw[63] ?? 0) ^ 1))],
].map(([name = '', token = '']) => [`signature: ${name}`, token])

/** RSA signatures are numbers, too, of exactly as many octets as the modulus. */
const rsaText = `${encode({ alg: 'RS256', kid: 'rsa' })}.${p}`
const rsaRaw = sign('sha256', Buffer.from(rsaText), rsa.privateKey)
const rsaSignatures = [
  ['zero', Buffer.alloc(256)],
  ['one', Buffer.concat([Buffer.alloc(255), Buffer.of(1)])],
  ['all ones', Buffer.alloc(256, 0xff)],
  ['the modulus', Buffer.from(rsaJwk.n ?? '', 'base64url')],
  ['a zero in front', Buffer.concat([Buffer.alloc(1), rsaRaw])],
  ['a zero behind', Buffer.concat([rsaRaw, Buffer.alloc(1)])],
  ['a byte short', rsaRaw.subarray(1)],
].map(([name, bytes]) => [`RSA signature: ${String(name)}`, `${rsaText}.${(bytes as Buffer).toString('base64url')}`])

/** The last letter of a signature of 64 bytes carries four bits that mean nothing. */
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const strayBits = [1, 2, 3, 15].map(bits => {
  const last = letters.indexOf(good.at(-1) ?? '')
  return [`stray bits ${bits} in the last letter`, good.slice(0, -1) + letters.charAt(last | bits)]
})
const spellings = [
  ...strayBits,
  ['one part', h],
  ['two parts', `${h}.${p}`],
  ['four parts', `${good}.${s}`],
  ['four parts, the last empty', `${good}.`],
  ['two dots behind', `${good}..`],
  ['a dot inside the signature', `${h}.${p}.${s.slice(0, 40)}.${s.slice(40)}`],
  ['five parts', `${good}.${s}.${s}`],
  ['a dot in front', `.${good}`],
  ['dots alone', '..'],
  ['padding', `${good}==`],
  ['padding in the header', `${h}=.${p}.${s}`],
  ['a blank inside', `${h}. ${p}.${s}`],
  ['a tab inside', `${h}.\t${p}.${s}`],
  ['a line feed inside', `${h}.\n${p}.${s}`],
  ['a carriage return inside', `${h}.\r${p}.${s}`],
  ['a blank inside the signature', `${h}.${p}.${s.slice(0, 40)} ${s.slice(40)}`],
  ['padding inside the payload', `${h}.${p.slice(0, 4)}=${p.slice(4)}.${s}`],
  ['a no-break space inside', `${h}.\u00a0${p}.${s}`],
  ['a null inside', `${h}.\0${p}.${s}`],
  ['the letters of standard base64', `${h}.${p}.${Buffer.alloc(64, 0xfb).toString('base64').replaceAll('=', '')}`],
  ['+ at the end', good.replace(/.$/, '+')],
  ['percent encoding', `${h}%2E${p}%2E${s}`],
  ['JSON serialization', JSON.stringify({ protected: h, payload: p, signature: s })],
  ['too long', signed(head, { ...claims, filler: 'x'.repeat(20_000) })],
  ['far too long', `${h}.${'A'.repeat(1_000_000)}.${s}`],
  ['a comma and a second token', `${good},${good}`],
]
const rules = [
  ['another issuer', signed(head, { ...claims, iss: 'https://evil.test' })],
  ['an issuer that begins alike', signed(head, { ...claims, iss: `${claims.iss}.evil.test` })],
  ['an issuer with a slash more', signed(head, { ...claims, iss: `${claims.iss}/` })],
  ['no issuer', signed(head, { ...claims, iss: undefined })],
  ['issuer as list', signed(head, { ...claims, iss: [claims.iss] })],
  ['another audience', signed(head, { ...claims, aud: ['other'] })],
  ['an audience that holds ours', signed(head, { ...claims, aud: 'api2' })],
  ['no audience', signed(head, { ...claims, aud: undefined })],
  ['audience as object', signed(head, { ...claims, aud: { api: true } })],
  ['audience as nested list', signed(head, { ...claims, aud: [['api']] })],
  ['subject as object', signed(head, { ...claims, sub: { id: 'alice' } })],
  ['expired', signed(head, { ...claims, exp: seconds - 31 })],
  ['no expiry', signed(head, { ...claims, exp: undefined })],
  ['expiry as text', signed(head, { ...claims, exp: String(seconds + 600) })],
  ['expiry a fraction', signed(head, { ...claims, exp: seconds - 31.5 })],
  ['expiry true', signed(head, { ...claims, exp: true })],
  ['expiry as list', signed(head, { ...claims, exp: [seconds + 600] })],
  ['expiry huge', signed(head, JSON.stringify(claims).replace(/"exp":\d+/, '"exp":1e300'))],
  ['expiry null', signed(head, { ...claims, exp: null })],
  ['expiry negative', signed(head, { ...claims, exp: -1 })],
  ['expiry infinite', signed(head, JSON.stringify(claims).replace(/"exp":\d+/, '"exp":1e999'))],
  ['expiry in milliseconds', signed(head, { ...claims, exp: seconds * 1000 })],
  ['not yet', signed(head, { ...claims, nbf: seconds + 40 })],
  ['not before a fraction, in the future', signed(head, { ...claims, nbf: seconds + 40.5 })],
  ['not before huge', signed(head, { ...claims, nbf: 1e300 })],
  ['not before as text', signed(head, { ...claims, nbf: '0' })],
  ['from the future', signed(head, { ...claims, iat: seconds + 40 })],
]
/** Name and token. */
export const tokenAttacks: readonly (readonly [name: string, token: string])[] = [
  ...[...unsecured, ...mixedCases, ...confusions, ...embedded, ...keyIds, ...headers],
  ...[...payloads, ...signatures, ...rsaSignatures, ...spellings, ...rules],
].map(([name = '', token = '']) => [name, token] as const)
