// Reply heads: status line, fields, framing fields, interim replies (RFC 9112 §4, §6.3, RFC 9110 §15).

import { isTokenOctet, octetName, octets } from '../case.ts'
import { ok, pass, type ReplyCase, spoil } from '../reply-case.ts'

const statusLine = 'RFC 9112 §4'
const fields = 'RFC 9112 §5'
const framing = 'RFC 9112 §6.3'
const interim = 'RFC 9110 §15.2'

const line = (text: string): string => `${text}\r\nContent-Length: 0\r\n\r\n`
const highOctets = String.fromCharCode(...octets(octet => octet >= 128))

const malformedLines: readonly (readonly [string, string])[] = [
  ['HTTP/1.2', 'HTTP/1.2 200 OK'],
  ['HTTP/2.0', 'HTTP/2.0 200 OK'],
  ['HTTP/0.9', 'HTTP/0.9 200 OK'],
  ['HTTP/1.10', 'HTTP/1.10 200 OK'],
  ['HTTP/1', 'HTTP/1 200 OK'],
  ['HTTP/2 as text', 'HTTP/2 200'],
  ['lower-case http', 'http/1.1 200 OK'],
  ['no version', '200 OK'],
  ['no status', 'HTTP/1.1'],
  ['no status, a space', 'HTTP/1.1 '],
  ['no status, a phrase', 'HTTP/1.1 OK'],
  ['two spaces in front of the status', 'HTTP/1.1  200 OK'],
  ['a tab in front of the status', 'HTTP/1.1\t200 OK'],
  ['a tab behind the status', 'HTTP/1.1 200\tOK'],
  ['no space in front of the status', 'HTTP/1.1200 OK'],
  ['a status of two digits', 'HTTP/1.1 20 OK'],
  ['a status of four digits', 'HTTP/1.1 2000 OK'],
  ['a status with a letter', 'HTTP/1.1 20x OK'],
  ['a status in letters', 'HTTP/1.1 two OK'],
  ['a status with a sign', 'HTTP/1.1 +20 OK'],
  ['a negative status', 'HTTP/1.1 -20 OK'],
  ['a status with a dot', 'HTTP/1.1 2.0 OK'],
  ['a status with the character before 0', 'HTTP/1.1 2/0 OK'],
  ['a status with the character behind 9', 'HTTP/1.1 20: OK'],
  ['a status with an exponent', 'HTTP/1.1 2e2 OK'],
  ['a hexadecimal status', 'HTTP/1.1 0xc OK'],
  ['a status with a space', 'HTTP/1.1 2 0 OK'],
  ['a status with a space behind two digits', 'HTTP/1.1 20  OK'],
  ['status 000', 'HTTP/1.1 000 OK'],
  ['status 099', 'HTTP/1.1 099 OK'],
  ['status 600', 'HTTP/1.1 600 OK'],
  ['status 999', 'HTTP/1.1 999 OK'],
  ['fullwidth digits', 'HTTP/1.1 \xef\xbc\x92 OK'],
  ['a space in front of the version', ' HTTP/1.1 200 OK'],
  ['a request line', 'GET / HTTP/1.1'],
  ['ICY, as radio stations say', 'ICY 200 OK'],
  ['HTML', '<html>'],
  ['a TLS alert', '\x15\x03\x01\x00\x02\x02\x46'],
  ['an SSH banner', 'SSH-2.0-OpenSSH_9.2'],
  ['a field in place of the status line', 'X: y'],
  ['UTF-8 byte order mark in front', '\xef\xbb\xbfHTTP/1.1 200 OK'],
]

const lineEnds: readonly (readonly [string, string])[] = [
  ['bare LF as every line end', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['bare LF behind the status line', 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n'],
  ['bare LF behind a field', 'HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n'],
  ['bare LF as the empty line', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n'],
  ['bare CR behind the status line', 'HTTP/1.1 200 OK\rX: y\r\nContent-Length: 0\r\n\r\n'],
  ['bare CR behind a field', 'HTTP/1.1 200 OK\r\nX: y\rContent-Length: 0\r\n\r\n'],
  ['CR CR LF', 'HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\r\n\r\r\n'],
  ['bare CR in a value', ok(['Content-Length: 0', 'X: a\rb'])],
  ['bare LF in a value: a field nobody sent', ok(['Content-Length: 0', 'X: a\nSet-Cookie: b'])],
  ['an empty line in front of the status line', `\r\n${ok(['Content-Length: 0'])}`],
  ['two empty lines in front of the status line', `\r\n\r\n${ok(['Content-Length: 0'])}`],
  ['a bare LF in front of the status line', `\n${ok(['Content-Length: 0'])}`],
]

const malformedFields: readonly (readonly [string, string])[] = [
  ['no colon', 'abc'],
  ['an empty name', ': y'],
  ['a space in front of the colon', 'X : y'],
  ['a tab in front of the colon', 'X\t: y'],
  ['a space inside the name', 'X Y: z'],
  ['obs-text in a name', 'X\x80: y'],
  ['a space in front of the colon of Content-Length', 'Content-Length : 0'],
  ['NUL in a value', 'X: a\0b'],
  ['NUL in a name', 'X\0: y'],
  ['an obs-fold', 'X: y\r\n z'],
  ['an obs-fold with a tab', 'X: y\r\n\tz'],
  ['an obs-fold that hides a field', 'X: y\r\n Set-Cookie: a=b'],
]

const framings: readonly (readonly [string, readonly string[], string])[] = [
  ['Content-Length twice, the same', ['Content-Length: 2', 'Content-Length: 2'], 'hi'],
  ['Content-Length twice, different', ['Content-Length: 2', 'Content-Length: 3'], 'hi!'],
  ['Content-Length as a list of equals', ['Content-Length: 2, 2'], 'hi'],
  ['Content-Length as a list', ['Content-Length: 2, 3'], 'hi!'],
  ['Content-Length with a plus sign', ['Content-Length: +2'], 'hi'],
  ['Content-Length with a minus sign', ['Content-Length: -2'], 'hi'],
  ['Content-Length hexadecimal', ['Content-Length: 0x2'], 'hi'],
  ['Content-Length with a unit', ['Content-Length: 2B'], 'hi'],
  ['Content-Length with a fraction', ['Content-Length: 2.0'], 'hi'],
  ['Content-Length with an underscore', ['Content-Length: 1_0'], 'hi'],
  ['Content-Length empty', ['Content-Length:'], 'hi'],
  ['Content-Length in words', ['Content-Length: two'], 'hi'],
  ['Content-Length past 2^53', ['Content-Length: 9007199254740993'], 'hi'],
  ['Content-Length of 2^64 + 2', ['Content-Length: 18446744073709551618'], 'hi'],
  ['both lengths', ['Content-Length: 12', 'Transfer-Encoding: chunked'], '2\r\nhi\r\n0\r\n\r\n'],
  ['both lengths, the other order', ['Transfer-Encoding: chunked', 'Content-Length: 12'], '2\r\nhi\r\n0\r\n\r\n'],
  ['both lengths, Content-Length zero', ['Content-Length: 0', 'Transfer-Encoding: chunked'], '2\r\nhi\r\n0\r\n\r\n'],
  ['Transfer-Encoding gzip', ['Transfer-Encoding: gzip'], 'hi'],
  ['Transfer-Encoding gzip, chunked', ['Transfer-Encoding: gzip, chunked'], '2\r\nhi\r\n0\r\n\r\n'],
  ['Transfer-Encoding identity', ['Transfer-Encoding: identity'], 'hi'],
  ['Transfer-Encoding chunked twice', ['Transfer-Encoding: chunked, chunked'], '2\r\nhi\r\n0\r\n\r\n'],
  ['two Transfer-Encodings', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '2\r\nhi\r\n0\r\n\r\n'],
  ['Transfer-Encoding with a parameter', ['Transfer-Encoding: chunked;q=1'], '2\r\nhi\r\n0\r\n\r\n'],
  ['Transfer-Encoding empty', ['Transfer-Encoding:'], 'hi'],
  ['Transfer-Encoding with a vertical tab', ['Transfer-Encoding: \vchunked'], '2\r\nhi\r\n0\r\n\r\n'],
  ['Transfer-Encoding with a comma', ['Transfer-Encoding: chunked,'], '2\r\nhi\r\n0\r\n\r\n'],
  ['Connection names Content-Length', ['Connection: content-length', 'Content-Length: 2'], 'hi'],
  ['Connection names Transfer-Encoding', ['Connection: transfer-encoding', 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
]

export const replyHeads: readonly ReplyCase[] = [
  pass(statusLine, 'a plain reply', ok(['Content-Length: 2'], 'hi'), { body: 'hi', reason: 'OK' }),
  pass(statusLine, 'a phrase of its own', line('HTTP/1.1 200 Fine by me'), { reason: 'Fine by me' }),
  pass(statusLine, 'an empty phrase', line('HTTP/1.1 200 ')),
  pass(statusLine, 'no space behind the status: required, but it misleads nobody', line('HTTP/1.1 200')),
  pass(statusLine, 'a phrase with tab and obs-text', line('HTTP/1.1 200 a\tb\xe9'), { reason: 'a\tb\xe9' }),
  pass(
    statusLine,
    'HTTP/1.0 closes',
    'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi',
    { body: 'hi' },
    { isReusable: false },
  ),
  pass(
    statusLine,
    'HTTP/1.0 with keep-alive stays',
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi',
    { body: 'hi' },
  ),
  ...[200, 201, 299, 300, 302, 400, 404, 418, 451, 500, 503, 599].map(status =>
    pass(statusLine, `status ${status}`, line(`HTTP/1.1 ${status} Phrase`), { status, reason: 'Phrase' }),
  ),
  ...malformedLines.map(([name, text]) => spoil(statusLine, `status line: ${name}`, line(text))),
  ...octets(octet => (octet < 32 && octet !== 9) || octet === 127).map(octet =>
    spoil(statusLine, `octet ${octetName(octet)} in the phrase`, line(`HTTP/1.1 200 a${String.fromCharCode(octet)}b`), {
      cuts: [14, 15, 16],
    }),
  ),
  ...lineEnds.map(([name, text]) => spoil('RFC 9112 §2.2', `reply: ${name}`, text)),
  ...malformedFields.map(([name, text]) => spoil(fields, `reply field: ${name}`, ok(['Content-Length: 0', text]))),
  ...octets(octet => !isTokenOctet(octet) && octet !== 58).map(octet =>
    spoil(
      fields,
      `octet ${octetName(octet)} in a reply field name`,
      ok(['Content-Length: 0', `X${String.fromCharCode(octet)}Y: z`]),
      {
        cuts: [36, 37, 38],
      },
    ),
  ),
  ...octets(octet => (octet < 32 && octet !== 9) || octet === 127).map(octet =>
    spoil(
      fields,
      `octet ${octetName(octet)} in a reply field value`,
      ok(['Content-Length: 0', `X: a${String.fromCharCode(octet)}b`]),
      {
        cuts: [38, 39, 40, 41],
      },
    ),
  ),
  pass(
    'RFC 9110 §5.5',
    'obs-text in a value, byte for byte',
    ok(['Content-Length: 0', `X: ${highOctets}`]),
    { headers: [['X', highOctets]] },
    {
      cuts: [1, 40, 100],
    },
  ),
  pass('RFC 9112 §5', 'case, order and duplicates survive', ok(['x-B: 1', 'Content-Length: 0', 'X-a: 2', 'x-B: 3']), {
    headers: [
      ['x-B', '1'],
      ['X-a', '2'],
      ['x-B', '3'],
    ],
  }),
  pass(
    'RFC 6265 §3',
    'ninety Set-Cookie stay apart',
    ok(['Content-Length: 0', ...Array.from({ length: 90 }, (_, n) => `Set-Cookie: c${n}=${n}`)]),
    { headers: Array.from({ length: 90 }, (_, n) => ['Set-Cookie', `c${n}=${n}`] as const) },
    { cuts: [1, 40, 1000] },
  ),
  pass('RFC 9112 §5.1', 'white space around a value', ok(['Content-Length:\t0 ', 'X: \t y \t']), {
    headers: [['X', 'y']],
  }),
  pass('RFC 9110 §5.5', 'an empty value', ok(['Content-Length: 0', 'X:']), { headers: [['X', '']] }),
  pass(
    'RFC 9110 §7.6.1',
    'Connection: close',
    ok(['Connection: close', 'Content-Length: 2'], 'hi'),
    { body: 'hi' },
    { isReusable: false },
  ),
  pass(
    'RFC 9110 §7.6.1',
    'hop-by-hop fields end here',
    ok([
      'Connection: X-Hop, keep-alive',
      'X-Hop: 1',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: x',
      'Upgrade: h2c',
      'Content-Length: 0',
      'X: y',
    ]),
    { headers: [['X', 'y']] },
  ),
  ...framings.map(([name, lines, body]) => spoil(framing, `reply: ${name}`, ok(lines, body))),
  spoil(
    framing,
    'reply: Transfer-Encoding on HTTP/1.0',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
  ),
  spoil('RFC 6585 §5', 'a head that never ends: one value', ok([]).slice(0, -2) + `X: ${'y'.repeat(100_000)}`, {
    cuts: [1, 31_999, 32_001],
  }),
  spoil('RFC 6585 §5', 'a head that never ends: fields', ok([]).slice(0, -2) + 'X: y\r\n'.repeat(20_000), {
    cuts: [1, 31_999, 32_001],
  }),
  spoil('RFC 6585 §5', 'a phrase that never ends', `HTTP/1.1 200 ${'y'.repeat(100_000)}`, {
    cuts: [1, 31_999, 32_001],
  }),
  spoil('RFC 6585 §5', 'five hundred fields', ok(['Content-Length: 0', ...Array<string>(500).fill('X: y')]), {
    cuts: [1, 1000],
  }),
  pass(
    interim,
    '100 that nobody asked for is dropped',
    `HTTP/1.1 100 Continue\r\n\r\n${ok(['Content-Length: 2'], 'hi')}`,
    { body: 'hi' },
  ),
  pass(
    interim,
    '103 passes in front of the reply',
    `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok(['Content-Length: 2'], 'hi')}`,
    {
      body: 'hi',
      interim: [103],
    },
  ),
  pass(
    interim,
    '102 and 103 pass',
    `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${ok(['Content-Length: 0'])}`,
    {
      interim: [102, 103],
    },
  ),
  pass(interim, 'an interim reply that nobody knows passes', `HTTP/1.1 199 Maybe\r\n\r\n${ok(['Content-Length: 0'])}`, {
    interim: [199],
  }),
  spoil(interim, 'interim replies without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(2000), {
    by: 'edge',
    cuts: [1, 28, 29],
  }),
  spoil(interim, '100 without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(2000), { by: 'edge', cuts: [1, 25, 26] }),
  spoil(
    interim,
    '101 that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    { by: 'edge' },
  ),
  spoil(
    interim,
    '101 that nobody asked for, behind 100',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n',
    { by: 'edge' },
  ),
  ...[100, 101, 103, 199].map(status =>
    spoil(
      interim,
      `${status} on HTTP/1.0, which has no interim replies`,
      `HTTP/1.0 ${status} X\r\n\r\n${ok(['Content-Length: 0'])}`,
    ),
  ),
  spoil(interim, 'a malformed interim reply', `HTTP/1.1 103 Early Hints\r\nX : y\r\n\r\n${ok(['Content-Length: 0'])}`),
  spoil(interim, 'a malformed reply behind 100', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 20 OK\r\n\r\n'),
]
