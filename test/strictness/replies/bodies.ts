// Reply bodies: where they end, what cuts them short, what follows them (RFC 9112 §6.3, §7.1, §8).

import { cut, ok, owe, pass, type ReplyCase, spoil } from '../reply-case.ts'

const framing = 'RFC 9112 §6.3'
const chunk = 'RFC 9112 §7.1'
const short = 'RFC 9112 §8'
const reuse = 'RFC 9112 §9.3'

const chunked = (body: string): string => ok(['Transfer-Encoding: chunked'], body)
const stray = ok(['Content-Length: 6'], 'hidden')

const brokenChunks: readonly (readonly [string, string])[] = [
  ['an empty size', '\r\nhi\r\n0\r\n\r\n'],
  ['a size with a sign', '+2\r\nhi\r\n0\r\n\r\n'],
  ['a size with 0x', '0x2\r\nhi\r\n0\r\n\r\n'],
  ['a size with a space', '2 \r\nhi\r\n0\r\n\r\n'],
  ['a size that is a word', 'two\r\nhi\r\n0\r\n\r\n'],
  ['a size past 64 bits', '10000000000000002\r\nhi\r\n0\r\n\r\n'],
  ['bare LF behind the size', '2\nhi\r\n0\r\n\r\n'],
  ['bare CR behind the size', '2\rhi\r\n0\r\n\r\n'],
  ['no line end behind the data', '2\r\nhi0\r\n\r\n'],
  ['bare LF behind the data', '2\r\nhi\n0\r\n\r\n'],
  ['data longer than its size', '2\r\nhi!\r\n0\r\n\r\n'],
  ['data shorter than its size', '3\r\nhi\r\n0\r\n\r\n'],
  ['a malformed extension', '2;=\r\nhi\r\n0\r\n\r\n'],
  ['a bare LF in an extension', '2;a\nhi\r\n0\r\n\r\n'],
  ['an endless extension', `2;${'a'.repeat(30_000)}\r\nhi\r\n0\r\n\r\n`],
  ['a malformed trailer', '2\r\nhi\r\n0\r\nX : y\r\n\r\n'],
  ['Content-Length in a trailer', '2\r\nhi\r\n0\r\nContent-Length: 2\r\n\r\n'],
  ['a folded trailer', '2\r\nhi\r\n0\r\nX: y\r\n z\r\n\r\n'],
  ['an endless trailer', `2\r\nhi\r\n0\r\nX: ${'y'.repeat(30_000)}\r\n\r\n`],
  ['bare LF at the end', '2\r\nhi\r\n0\n\n'],
  ['a reply in place of the last empty line', `2\r\nhi\r\n0\r\n${stray}`],
]

const unfinished: readonly (readonly [string, string, boolean])[] = [
  ['nothing at all', '', false],
  ['half a status line', 'HTTP/1.1 20', false],
  ['a status line', 'HTTP/1.1 200 OK\r\n', false],
  ['a head without its empty line', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n', false],
  ['only an interim reply', 'HTTP/1.1 100 Continue\r\n\r\n', false],
  ['no body', ok(['Content-Length: 2']), true],
  ['half a body', ok(['Content-Length: 2'], 'h'), true],
  ['no chunk', chunked(''), true],
  ['half a size', chunked('2'), true],
  ['no data', chunked('2\r\n'), true],
  ['half the data', chunked('2\r\nh'), true],
  ['no line end behind the data', chunked('2\r\nhi'), true],
  ['no last chunk', chunked('2\r\nhi\r\n'), true],
  ['no empty line behind the last chunk', chunked('2\r\nhi\r\n0\r\n'), true],
  ['half an empty line behind the last chunk', chunked('2\r\nhi\r\n0\r\n\r'), true],
  ['no empty line behind a trailer', chunked('2\r\nhi\r\n0\r\nX: y\r\n'), true],
]

const bodiless: readonly (readonly [string, string, string, number])[] = [
  ['HEAD with a length', 'HEAD', ok(['Content-Length: 5']), 200],
  ['HEAD with chunks announced', 'HEAD', ok(['Transfer-Encoding: chunked']), 200],
  ['HEAD without any length', 'HEAD', ok([]), 200],
  ['HEAD with 404 and a length', 'HEAD', 'HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\n', 404],
  ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204],
  ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\n\r\n', 304],
  ['304 with the length of what it stands for', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', 304],
  ['304 with chunks announced', 'GET', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n', 304],
]

const followed: readonly (readonly [string, string, string, number, string])[] = [
  ['a second reply behind a length', 'GET', ok(['Content-Length: 2'], `hi${stray}`), 200, 'hi'],
  ['one byte behind a length', 'GET', ok(['Content-Length: 2'], 'hi!'), 200, 'hi'],
  ['a line end behind a length', 'GET', ok(['Content-Length: 2'], 'hi\r\n'), 200, 'hi'],
  ['a second reply behind length zero', 'GET', ok(['Content-Length: 0'], stray), 200, ''],
  ['a second reply behind chunks', 'GET', chunked(`2\r\nhi\r\n0\r\n\r\n${stray}`), 200, 'hi'],
  ['one byte behind chunks', 'GET', chunked('2\r\nhi\r\n0\r\n\r\n!'), 200, 'hi'],
  ['a body behind HEAD', 'HEAD', ok(['Content-Length: 5'], 'hello'), 200, ''],
  ['chunks behind HEAD', 'HEAD', chunked('2\r\nhi\r\n0\r\n\r\n'), 200, ''],
  ['a second reply behind HEAD', 'HEAD', ok(['Content-Length: 5'], stray), 200, ''],
  ['a body behind 204', 'GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello', 204, ''],
  [
    'chunks behind 204',
    'GET',
    'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
    204,
    '',
  ],
  ['a body behind 304', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello', 304, ''],
  ['a second reply behind 304', 'GET', `HTTP/1.1 304 Not Modified\r\n\r\n${stray}`, 304, ''],
]

export const replyBodies: readonly ReplyCase[] = [
  pass(framing, 'a length', ok(['Content-Length: 5'], 'hello'), { body: 'hello' }),
  pass(framing, 'a length with leading zeros', ok(['Content-Length: 005'], 'hello'), { body: 'hello' }),
  pass(framing, 'length zero', ok(['Content-Length: 0'])),
  pass(framing, 'until close', ok([], 'hello'), { body: 'hello' }, { after: 'fin', isReusable: false }),
  pass(framing, 'until close, nothing came', ok([]), {}, { after: 'fin', isReusable: false }),
  pass(
    framing,
    'until close on HTTP/1.0',
    'HTTP/1.0 200 OK\r\n\r\nhello',
    { body: 'hello' },
    { after: 'fin', isReusable: false },
  ),
  pass(
    framing,
    'until close, though keep-alive is promised',
    ok(['Connection: keep-alive'], 'hi'),
    { body: 'hi' },
    { after: 'fin', isReusable: false },
  ),
  pass(
    framing,
    'until close, what follows is body',
    ok([], stray),
    { body: stray },
    { after: 'fin', isReusable: false },
  ),
  pass(
    framing,
    'a length, then close',
    ok(['Content-Length: 5'], 'hello'),
    { body: 'hello' },
    { after: 'fin', isReusable: false },
  ),
  pass(chunk, 'chunks', chunked('2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n'), { body: 'hi!' }),
  pass(chunk, 'Chunked has no case', ok(['Transfer-Encoding: Chunked'], '2\r\nhi\r\n0\r\n\r\n'), { body: 'hi' }),
  pass(chunk, 'no chunk', chunked('0\r\n\r\n')),
  pass(chunk, 'chunks with extensions', chunked('2;a=b;c="d"\r\nhi\r\n0;e\r\n\r\n'), { body: 'hi' }),
  pass(chunk, 'chunks with a trailer', chunked('2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n'), {
    body: 'hi',
    trailers: [['X-Sum', '1']],
  }),
  pass(
    'RFC 9110 §6.5.1',
    'a forbidden trailer is dropped',
    chunked('2\r\nhi\r\n0\r\nSet-Cookie: a=b\r\nHost: x\r\n\r\n'),
    { body: 'hi' },
  ),
  pass(
    chunk,
    'chunks, then close',
    chunked('2\r\nhi\r\n0\r\n\r\n'),
    { body: 'hi' },
    { after: 'fin', isReusable: false },
  ),
  ...brokenChunks.map(([name, body]) =>
    cut(chunk, `reply chunks: ${name}`, chunked(body), body.length > 1000 ? { cuts: [1, 46, 50, 60] } : {}),
  ),
  ...unfinished.map(([name, text, inBody]) => owe(short, `upstream falls silent: ${name}`, text, inBody)),
  ...unfinished.map(([name, text, inBody]) =>
    (inBody ? cut : spoil)(short, `upstream closes early: ${name}`, text, { after: 'fin' }),
  ),
  owe(framing, 'until close, but it never closes', ok([], 'hello'), true),
  ...bodiless.map(([name, method, text, status]) =>
    pass('RFC 9112 §6.3', `no body: ${name}`, text, { status }, { method }),
  ),
  ...followed.map(([name, method, text, status, body]) =>
    pass(
      reuse,
      `extra bytes, connection is not reused: ${name}`,
      text,
      { status, body },
      { method, isReusable: false },
    ),
  ),
]
