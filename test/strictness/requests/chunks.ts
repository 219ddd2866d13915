// Chunked bodies: sizes, extensions, line ends, trailers (RFC 9112 §7.1).

import { accept, chunked, message, octetName, octets, type RequestCase, refuse, refuseBody, wait } from '../case.ts'

const section = 'RFC 9112 §7.1'
const extension = 'RFC 9112 §7.1.1'
const trailer = 'RFC 9112 §7.1.2'
const posted = (body: string, trailers: [string, string][] = []) => message({ method: 'POST', body, trailers })

const passing: readonly (readonly [string, string, string])[] = [
  ['one chunk', '5\r\nhello\r\n0\r\n\r\n', 'hello'],
  ['no chunk', '0\r\n\r\n', ''],
  ['two chunks', '2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n', 'hello'],
  ['one byte in each chunk', '1\r\nh\r\n1\r\ni\r\n0\r\n\r\n', 'hi'],
  ['size in lower-case hexadecimal', 'a\r\n0123456789\r\n0\r\n\r\n', '0123456789'],
  ['size in upper-case hexadecimal', 'A\r\n0123456789\r\n0\r\n\r\n', '0123456789'],
  ['two digits', '10\r\n0123456789abcdef\r\n0\r\n\r\n', '0123456789abcdef'],
  ['leading zeros', '005\r\nhello\r\n0\r\n\r\n', 'hello'],
  ['several zeros as the last size', '5\r\nhello\r\n000\r\n\r\n', 'hello'],
  ['data that looks like the end', '5\r\n0\r\n\r\n\r\n0\r\n\r\n', '0\r\n\r\n'],
  ['data that looks like a request', '7\r\nGET / H\r\n0\r\n\r\n', 'GET / H'],
  ['line ends as data', '4\r\n\r\n\r\n\r\n0\r\n\r\n', '\r\n\r\n'],
]

const passingExtensions: readonly (readonly [string, string])[] = [
  ['a name', ';a'],
  ['a name and a token', ';a=b'],
  ['a quoted string', ';a="b c"'],
  ['an empty quoted string', ';a=""'],
  ['a quoted quote', ';a="\\""'],
  ['a quoted backslash', ';a="\\\\"'],
  ['a semicolon in quotes', ';a="b;c=d"'],
  ['obs-text in quotes', ';a="\x80\xff"'],
  ['a tab in quotes', ';a="\t"'],
  ['two', ';a=b;c=d'],
  ['a quoted one in front of another', ';a="b";c'],
  ['the longest that is read', `;${'a'.repeat(200)}`],
]

const sizes: readonly (readonly [string, string])[] = [
  ['nothing', ''],
  ['a plus sign', '+5'],
  ['a minus sign', '-5'],
  ['0x', '0x5'],
  ['x', 'x5'],
  ['h behind it', '5h'],
  ['a letter past f', 'g'],
  ['a fraction', '5.0'],
  ['an underscore', '5_'],
  ['a comma', '5,'],
  ['a colon', '5:'],
  ['quotes', '"5"'],
  ['a space in front of it', ' 5'],
  ['a space behind it: BWS is not for sizes', '5 '],
  ['ten spaces behind it', '5          '],
  ['a tab in front of it', '\t5'],
  ['a tab behind it', '5\t'],
  ['a vertical tab behind it', '5\v'],
  ['NUL behind it', '5\0'],
  ['NUL in front of it', '\x005'],
  ['a space inside', '0 5'],
  ['a no-break space', '5\xa0'],
  ['fullwidth digits', '\xef\xbc\x95'],
  ['sixteen digits, negative in 64 bits', 'fffffffffffffffb'],
  ['sixteen digits, the largest positive', '7fffffffffffffff'],
  ['seventeen digits, wraps to 5 in 64 bits', '10000000000000005'],
  ['twenty-four zeros in front', `${'0'.repeat(24)}5`],
  ['a hundred digits', 'f'.repeat(100)],
  ['a thousand zeros', '0'.repeat(1000)],
]

const extensions: readonly (readonly [string, string])[] = [
  ['a semicolon alone', ';'],
  ['two semicolons', ';;'],
  ['two semicolons and a name', ';;a'],
  ['a semicolon behind it', ';a;'],
  ['a value without a name', ';=b'],
  ['a name without its value', ';a='],
  ['two equals signs', ';a==b'],
  ['two values', ';a=b=c'],
  ['a quote that stays open', ';a="b'],
  ['a quote that starts late', ';a=b"c"'],
  ['text behind the quote', ';a="b"c'],
  ['two quoted strings', ';a="b""c"'],
  ['a quoted name', ';"a"=b'],
  ['a backslash outside quotes', ';a=\\b'],
  ['a quote closed by a quoted pair', ';a="\\"'],
  ['space in front of the semicolon: BWS that only attacks use', ' ;a'],
  ['space behind the semicolon', '; a'],
  ['space behind the name', ';a '],
  ['space around the equals sign', ';a = b'],
  ['two words', ';a b'],
  ['a tab', ';\ta'],
  ['a comma', ';a,b'],
  ['a colon', ';a:b'],
  ['a slash', ';a/b'],
  ['obs-text outside quotes', ';a=\x80'],
  ['a bare LF inside', ';a\nb'],
  ['a bare LF in quotes', ';a="\n"'],
  ['a bare CR inside', ';a\rb'],
  ['CR LF in quotes', ';a="\r\n"'],
  ['no semicolon', 'a=b '],
  ['thirty thousand octets', `;${'a'.repeat(30_000)}`],
  ['four hundred octets in quotes', `;a="${'b'.repeat(400)}"`],
]

const lineEnds: readonly (readonly [string, string])[] = [
  ['bare LF behind the size', '5\nhello\r\n0\r\n\r\n'],
  ['bare CR behind the size', '5\rhello\r\n0\r\n\r\n'],
  ['CR CR LF behind the size', '5\r\r\nhello\r\n0\r\n\r\n'],
  ['LF CR behind the size', '5\n\rhello\r\n0\r\n\r\n'],
  ['CR and a letter behind the size', '5\rXhello\r\n0\r\n\r\n'],
  ['bare LF behind an extension (TERM.EXT)', '5;\nhello\r\n0\r\n\r\n'],
  ['bare LF behind an extension with a name', '5;a\nhello\r\n0\r\n\r\n'],
  ['bare CR behind an extension', '5;a\rhello\r\n0\r\n\r\n'],
  ['bare LF behind the data', '5\r\nhello\n0\r\n\r\n'],
  ['bare CR behind the data', '5\r\nhello\r0\r\n\r\n'],
  ['nothing behind the data (ONE.TWO)', '5\r\nhello0\r\n\r\n'],
  ['two other octets behind the data (SPILL)', '5\r\nhelloXX0\r\n\r\n'],
  ['CR and another octet behind the data', '5\r\nhello\rX0\r\n\r\n'],
  ['two CR LF behind the data', '5\r\nhello\r\n\r\n0\r\n\r\n'],
  ['LF CR behind the data', '5\r\nhello\n\r0\r\n\r\n'],
  ['a chunk longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
  ['a chunk shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
  ['an empty line in front of the first size', '\r\n5\r\nhello\r\n0\r\n\r\n'],
  ['bare LF in front of the first size', '\n5\r\nhello\r\n0\r\n\r\n'],
  ['no chunks, but the data', 'hello\r\n\r\n'],
  ['bare LF behind the last size', '5\r\nhello\r\n0\n\r\n'],
  ['bare LF as the last empty line', '5\r\nhello\r\n0\r\n\n'],
  ['bare LF twice at the end', '5\r\nhello\r\n0\n\n'],
  ['CR CR LF behind the last size', '5\r\nhello\r\n0\r\r\n\r\n'],
  ['CR CR LF as the last empty line', '5\r\nhello\r\n0\r\n\r\r\n'],
  ['a bare CR for the last empty line', '5\r\nhello\r\n0\r\n\rX'],
  ['bare LF everywhere', '5\nhello\n0\n\n'],
  ['minus zero as the last size', '5\r\nhello\r\n-0\r\n\r\n'],
  ['a request in place of the last empty line', '0\r\nGET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n'],
]

const malformedTrailers: readonly (readonly [string, string])[] = [
  ['no colon', 'X\r\n'],
  ['an empty name', ': y\r\n'],
  ['a space in front of the colon', 'X : y\r\n'],
  ['a space in front of the name', ' X: y\r\n'],
  ['a fold', 'X: y\r\n z\r\n'],
  ['a bare LF as line end', 'X: y\n'],
  ['a bare CR as line end', 'X: y\r'],
  ['a bare LF hiding a field', 'X: y\nHost: b.test\r\n'],
  ['a bare CR hiding a field', 'X: y\rHost: b.test\r\n'],
  ['CR CR LF', 'X: y\r\r\n'],
  ['NUL in a value', 'X: \0\r\n'],
  ['NUL in a name', 'X\0: y\r\n'],
  ['DEL in a value', 'X: \x7f\r\n'],
  ['an octet that is no token in a name', 'X(y): z\r\n'],
  ['obs-text in a name', 'X\x80: z\r\n'],
  ['Content-Length, which would contradict the chunks', 'Content-Length: 5\r\n'],
  ['Transfer-Encoding', 'Transfer-Encoding: chunked\r\n'],
  ['nine thousand octets', `X: ${'y'.repeat(9000)}\r\n`],
  ['two hundred fields', 'X: y\r\n'.repeat(200)],
]

const droppedTrailers = [
  ...['Host: b.test', 'Authorization: x', 'Cookie: a=b', 'Content-Type: a/b'],
  ...[
    'Content-Encoding: gzip',
    'Content-Range: bytes 0-1/2',
    'Connection: close',
    'Trailer: X',
    'TE: gzip',
    'Upgrade: h2c',
  ],
  ...[
    'Cache-Control: no-store',
    'Range: bytes=0-1',
    'Expect: 100-continue',
    'X-Forwarded-For: 1.1.1.1',
    'X-Forwarded-Port: 1',
    'X-Real-IP: 1.1.1.1',
    'Set-Cookie: a=b',
  ],
]

export const chunks: readonly RequestCase[] = [
  ...passing.map(([name, body, content]) => accept(section, `chunked: ${name}`, chunked(body), posted(content))),
  ...passingExtensions.map(([name, text]) =>
    accept(
      extension,
      `extension dropped: ${name}`,
      chunked(`5${text}\r\nhello\r\n0\r\n\r\n`),
      posted('hello'),
      'open',
      {
        absent: text.length > 2 ? [text] : [],
      },
    ),
  ),
  accept(
    extension,
    'extension dropped on the last chunk',
    chunked('5\r\nhello\r\n0;a=b\r\n\r\n'),
    posted('hello'),
    'open',
    {
      absent: ['a=b'],
    },
  ),
  ...sizes.map(([name, size]) =>
    refuseBody(section, `chunk size: ${name}`, chunked(`${size}\r\nhello\r\n0\r\n\r\n`), cutsOf(size.length)),
  ),
  ...extensions.map(([name, text]) =>
    refuseBody(extension, `extension: ${name}`, chunked(`5${text}\r\nhello\r\n0\r\n\r\n`), cutsOf(text.length)),
  ),
  refuseBody(
    extension,
    'many extensions, each short enough',
    chunked(`${`1;${'a'.repeat(250)}\r\nx\r\n`.repeat(100)}0\r\n\r\n`),
    cutsOf(1000),
  ),
  ...lineEnds.map(([name, body]) => refuseBody(section, `chunked: ${name}`, chunked(body))),
  ...octets(octet => (octet < 32 && octet !== 9) || octet === 127).map(octet =>
    refuseBody(
      extension,
      `octet ${octetName(octet)} in a quoted extension`,
      chunked(`5;a="${String.fromCharCode(octet)}"\r\nhello\r\n0\r\n\r\n`),
      { cuts: [1, 69, 70, 71, 72, 73] },
    ),
  ),
  ...octets(octet => !/[0-9A-Fa-f;\r]/.test(String.fromCharCode(octet))).map(octet =>
    refuseBody(
      section,
      `octet ${octetName(octet)} behind a chunk size`,
      chunked(`5${String.fromCharCode(octet)}\r\nhello\r\n0\r\n\r\n`),
      {
        cuts: [1, 66, 67, 68],
      },
    ),
  ),
  accept(trailer, 'one trailer field', chunked('0\r\nX-Sum: 1\r\n\r\n'), posted('', [['X-Sum', '1']])),
  accept(
    trailer,
    'two trailer fields behind a chunk',
    chunked('2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n'),
    posted('hi', [
      ['X-Sum', '1'],
      ['X-Sum', '2'],
    ]),
  ),
  ...droppedTrailers.map(field =>
    accept(
      'RFC 9110 §6.5.1',
      `forbidden in trailers, dropped: ${field}`,
      chunked(`0\r\n${field}\r\nX-Sum: 1\r\n\r\n`),
      posted('', [['X-Sum', '1']]),
    ),
  ),
  ...malformedTrailers.map(([name, text]) =>
    refuseBody(trailer, `trailer: ${name}`, chunked(`5\r\nhello\r\n0\r\n${text}\r\n`), cutsOf(text.length)),
  ),
  ...[
    ['not started', ''],
    ['size without line end', '5'],
    ['size without LF', '5\r'],
    ['no data yet', '5\r\n'],
    ['data cut short', '5\r\nhel'],
    ['no line end behind the data', '5\r\nhello'],
    ['half a line end behind the data', '5\r\nhello\r'],
    ['no last chunk', '5\r\nhello\r\n'],
    ['no empty line behind the last chunk', '5\r\nhello\r\n0\r\n'],
    ['half an empty line behind the last chunk', '5\r\nhello\r\n0\r\n\r'],
    ['a trailer without the empty line', '5\r\nhello\r\n0\r\nX: y\r\n'],
    ['a chunk of 4 GB and 5, which is 5 in 32 bits', '100000005\r\nhello\r\n0\r\n\r\n'],
    ['an extension that goes on', '5;a'],
  ].map(([name, body]) => wait(section, `chunked, unfinished: ${name}`, chunked(body ?? ''), true)),
  refuse(
    section,
    'bytes behind the last chunk are the next request',
    chunked('0\r\n\r\nX'.padEnd(12, 'X')) + '\r\n\r\n',
    400,
    { messages: [posted('')] },
  ),
]

/** Long cases are cut at a few places only: each boundary inside a run of like octets is the same. */
function cutsOf(length: number): { cuts?: readonly number[] } {
  return length < 60 ? {} : { cuts: [1, 64, 65, 66, 67, 68, 90, 200] }
}
