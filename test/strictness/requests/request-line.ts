// The request line: method, separators, version (RFC 9112 §3, RFC 9110 §2.5, §9).

import { accept, isTokenOctet, message, octetName, octets, type RequestCase, refuse } from '../case.ts'

const line = (text: string): string => `${text}\r\nHost: a.test\r\n\r\n`

const separators: readonly (readonly [string, string])[] = [
  ['two spaces behind the method', 'GET  / HTTP/1.1'],
  ['two spaces behind the target', 'GET /  HTTP/1.1'],
  ['tab behind the method', 'GET\t/ HTTP/1.1'],
  ['tab behind the target', 'GET /\tHTTP/1.1'],
  ['space and tab behind the method', 'GET \t/ HTTP/1.1'],
  ['vertical tab behind the method', 'GET\v/ HTTP/1.1'],
  ['form feed behind the target', 'GET /\fHTTP/1.1'],
  ['no-break space behind the target', 'GET /\xa0HTTP/1.1'],
  ['NUL behind the method', 'GET\0/ HTTP/1.1'],
  ['space behind the version', 'GET / HTTP/1.1 '],
  ['tab behind the version', 'GET / HTTP/1.1\t'],
  ['NUL behind the version', 'GET / HTTP/1.1\0'],
  ['a second version', 'GET / HTTP/1.1 HTTP/1.1'],
  ['a word behind the version', 'GET / HTTP/1.1 x'],
  ['a space in the target', 'GET /a b HTTP/1.1'],
  ['a version inside the target, with spaces', 'GET / HTTP/1.1/x HTTP/1.1'],
  ['no target, one space', 'GET HTTP/1.1'],
  ['no target, two spaces', 'GET  HTTP/1.1'],
  ['no method', '/ HTTP/1.1'],
  ['empty method', ' / HTTP/1.1'],
  ['method alone', 'GET'],
  ['method and a space', 'GET '],
  ['no version (HTTP/0.9)', 'GET /'],
  ['no version, but a space', 'GET / '],
  ['no space in front of the version', 'GET /HTTP/1.1'],
  ['a status line', 'HTTP/1.1 200 OK'],
  ['a field in place of the request line', 'Host: a.test'],
  ['TLS client hello', '\x16\x03\x01\x02\x00\x01'],
  ['PROXY protocol, which nobody configured', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2'],
  ['PROXY protocol v2 signature', '\r\n\r\n\0\r\nQUIT\n'],
]

const malformedVersions = [
  ...['http/1.1', 'Http/1.1', 'HTTp/1.1', 'HTP/1.1', 'HTTPS/1.1', 'HTTTP/1.1', 'XHTTP/1.1', 'ICAP/1.1'],
  ...['HTTP/1', 'HTTP/1.', 'HTTP/.1', 'HTTP/', 'HTTP', 'HTTP1.1', 'HTTP 1.1', 'HTTP/ 1.1', 'HTTP /1.1', 'HTTP//1.1'],
  ...[
    'HTTP/1.10',
    'HTTP/1.11',
    'HTTP/11.1',
    'HTTP/01.1',
    'HTTP/1.01',
    'HTTP/1.1.1',
    'HTTP/1.1a',
    'HTTP/1.a',
    'HTTP/a.1',
  ],
  ...['HTTP/1,1', 'HTTP/1:1', 'HTTP/1_1', 'HTTP/1-1', 'HTTP/+1.1', 'HTTP/-1.1', 'HTTP/1.+1', 'HTTP/1.-1', 'HTTP/1. 1'],
  ...['HTTP\\1.1', 'HTTP/2', 'HTTP/3', 'HTTP/0x1.1', 'HTTP/1.1\x80', 'HTTP/\xb9.1', '"HTTP/1.1"', 'HTTP%2f1.1', '1.1'],
  ...['HTTP/1.1;', 'HTTP/1.1,', 'HTTP/1.1#', 'HTTP/1.1?', 'HTTP/1.1\x0b', '/HTTP/1.1', 'HTTP/20.0', 'HTTP/2.00'],
]

export const requestLine: readonly RequestCase[] = [
  ...separators.map(([name, text]) => refuse('RFC 9112 §3', name, line(text))),
  ...malformedVersions.map(version =>
    refuse('RFC 9112 §2.3', `version ${JSON.stringify(version)}`, line(`GET / ${version}`)),
  ),
  ...[2, 3, 4, 5, 6, 7, 8, 9].map(minor =>
    refuse(
      'RFC 9112 §2.3',
      `version HTTP/1.${minor}: no such version, refused with 400`,
      line(`GET / HTTP/1.${minor}`),
    ),
  ),
  ...[0, 2, 3, 4, 5, 6, 7, 8, 9].map(major =>
    refuse('RFC 9110 §15.6.6', `version HTTP/${major}.0`, line(`GET / HTTP/${major}.0`), 505),
  ),
  refuse('RFC 9110 §15.6.6', 'version HTTP/0.9 spelled out', line('GET / HTTP/0.9'), 505),
  refuse(
    'RFC 9113 §3.4',
    'the HTTP/2 preface on an HTTP/1.1 connection',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    [400, 505],
  ),
  accept('RFC 9112 §2.3', 'HTTP/1.0 closes after the reply', line('GET / HTTP/1.0'), message(), 'closed'),
  ...[
    "!#$%&'*+-.^_`|~",
    'get',
    'Get',
    'PURGE',
    'M-SEARCH',
    'X',
    '0',
    'QUERY',
    'PROPFIND',
    'GETT',
    'toString',
    '__proto__',
  ].map(method =>
    accept(
      'RFC 9110 §9.1',
      `method ${method} is a token and goes on unchanged`,
      line(`${method} / HTTP/1.1`),
      message({ method }),
    ),
  ),
  accept(
    'RFC 9110 §9.1',
    'a method of 100 letters',
    line(`${'M'.repeat(100)} / HTTP/1.1`),
    message({ method: 'M'.repeat(100) }),
  ),
  refuse(
    'RFC 9110 §9.1',
    'a method of 40 000 letters',
    line(`${'M'.repeat(40_000)} / HTTP/1.1`),
    [400, 414, 431, 501],
    {
      cuts: [1, 31_999, 32_000, 32_001, 39_999],
    },
  ),
  refuse('RFC 9112 §2.3', 'a version of 40 000 digits', line(`GET / HTTP/1.${'1'.repeat(40_000)}`), [400, 414, 431], {
    cuts: [1, 31_999, 32_000, 32_001, 39_999],
  }),
  ...octets(octet => !isTokenOctet(octet) && octet !== 32).map(octet =>
    refuse(
      'RFC 9110 §5.6.2',
      `octet ${octetName(octet)} in the method`,
      line(`G${String.fromCharCode(octet)}T / HTTP/1.1`),
      400,
      {
        cuts: [1, 2, 3],
      },
    ),
  ),
  refuse('RFC 9110 §9.3.6', 'CONNECT with an authority', 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n', 501),
  refuse('RFC 9110 §9.3.6', 'CONNECT with a path', line('CONNECT / HTTP/1.1'), 501),
  refuse('RFC 9110 §9.3.6', 'CONNECT in HTTP/1.0', line('CONNECT a.test:80 HTTP/1.0'), 501),
  refuse(
    'RFC 9110 §9.3.6',
    'CONNECT with a body',
    'CONNECT a.test:80 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi',
    501,
  ),
  refuse(
    'RFC 9110 §9.3.6',
    'connect in lower case is another method, but its target is not a path',
    line('connect a.test:443 HTTP/1.1'),
  ),
  accept('RFC 9110 §9.3.8', 'TRACE without a body', line('TRACE / HTTP/1.1'), message({ method: 'TRACE' })),
  refuse(
    'RFC 9110 §9.3.8',
    'TRACE with a body: a client must not send content in it',
    'TRACE / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi',
  ),
  refuse(
    'RFC 9110 §9.3.8',
    'TRACE with a chunked body',
    'TRACE / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ),
]
