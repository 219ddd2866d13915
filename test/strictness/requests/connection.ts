// Fields for one hop, Expect, and requests in a row (RFC 9110 §7.6, §10.1.1, RFC 9112 §9).

import { accept, chunked, get, message, post, type RequestCase, refuse, refuseBody } from '../case.ts'

const hops = 'RFC 9110 §7.6.1'
const expects = 'RFC 9110 §10.1.1'
const pipelines = 'RFC 9112 §9.3.2'
const smuggling = 'RFC 9112 §11.2'
const posted = (body: string) => message({ method: 'POST', body })
const head = get()

const hopByHop: readonly RequestCase[] = [
  accept(hops, 'Connection: close', get('Connection: close'), message(), 'closed', { absent: [] }),
  accept(hops, 'Connection: Close', get('Connection: Close'), message(), 'closed'),
  accept(hops, 'Connection: keep-alive, close', get('Connection: keep-alive, close'), message(), 'closed'),
  accept(
    hops,
    'close in a second Connection field',
    get('Connection: keep-alive', 'Connection: close'),
    message(),
    'closed',
  ),
  accept(hops, 'close among empty list members', get('Connection: ,, close ,'), message(), 'closed'),
  accept(hops, 'Connection: keep-alive', get('Connection: keep-alive'), message()),
  accept(hops, 'an empty Connection', get('Connection:'), message()),
  accept(
    'RFC 9112 §9.3',
    'HTTP/1.0 with keep-alive stays open',
    'GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n',
    message(),
  ),
  accept(
    'RFC 9112 §9.3',
    'HTTP/1.0 with keep-alive and close',
    'GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive, close\r\n\r\n',
    message(),
    'closed',
  ),
  ...(
    [
      ['a field named in Connection', ['Connection: X-Hop', 'X-Hop: hopped', 'X-End: 1']],
      ['a field named in Connection, in another case', ['Connection: x-HOP', 'X-Hop: hopped', 'X-End: 1']],
      ['a field in front of the Connection that names it', ['X-Hop: hopped', 'Connection: x-hop', 'X-End: 1']],
      ['two fields named in one list', ['Connection: x-hop,x-hop2', 'X-Hop: hopped', 'X-Hop2: hopped', 'X-End: 1']],
      [
        'two fields named in two Connections',
        ['Connection: x-hop', 'X-Hop: hopped', 'X-Hop2: hopped', 'Connection: X-Hop2', 'X-End: 1'],
      ],
      [
        'a field named in Connection that stands twice',
        ['Connection: x-hop', 'X-Hop: hopped', 'X-End: 1', 'X-Hop: hopped'],
      ],
      ['a field named beside keep-alive', ['Connection: keep-alive, X-Hop', 'X-Hop: hopped', 'X-End: 1']],
      ['Keep-Alive', ['Keep-Alive: timeout=hopped', 'X-End: 1']],
      ['Proxy-Connection', ['Proxy-Connection: hopped', 'X-End: 1']],
      ['TE', ['TE: hopped', 'X-End: 1']],
      ['TE with trailers and more', ['TE: trailers, hopped', 'X-End: 1']],
      ['Trailer', ['Trailer: hopped', 'X-End: 1']],
      ['Upgrade without Connection', ['Upgrade: hopped', 'X-End: 1']],
    ] as const
  ).map(([name, lines]) =>
    accept(hops, `hop-by-hop, removed: ${name}`, get(...lines), message({ headers: [['X-End', '1']] }), 'open', {
      absent: ['hopped'],
    }),
  ),
  accept(
    hops,
    'Connection: close, with a field named beside it',
    get('Connection: close, X-Hop', 'X-Hop: hopped', 'X-End: 1'),
    message({ headers: [['X-End', '1']] }),
    'closed',
    { absent: ['hopped'] },
  ),
  ...[
    'X_Forwarded_For',
    'x-forwarded_for',
    'X_REAL_IP',
    'X_Forwarded_Proto',
    'X-Forwarded_Host',
    'Proxy_Connection',
  ].map(name =>
    accept(
      'docs/security.md',
      `${name}, which CGI takes for the field with hyphens, is dropped`,
      get(`${name}: hidden`, 'X_End: 1'),
      message({ headers: [['X_End', '1']] }),
      'open',
      { absent: ['hidden'] },
    ),
  ),
  accept(
    hops,
    'Connection naming a field that is not there',
    get('Connection: x-nothing', 'X-End: 1'),
    message({ headers: [['X-End', '1']] }),
  ),
  accept(
    hops,
    'Connection naming Authorization: removed as told, so the call has less rights, never more',
    get('Connection: authorization', 'Authorization: hopped', 'X-End: 1'),
    message({ headers: [['X-End', '1']] }),
    'open',
    { absent: ['hopped'] },
  ),
  accept(
    hops,
    'Connection naming __proto__',
    get('Connection: __proto__, constructor', 'X-End: 1'),
    message({ headers: [['X-End', '1']] }),
  ),
  ...['Host', 'host', 'Content-Length', 'Transfer-Encoding', 'close, host', 'keep-alive, content-length'].map(option =>
    refuse(
      hops,
      `Connection: ${option}: dropping it would change where a message ends or goes`,
      get(`Connection: ${option}`),
    ),
  ),
  refuse(
    hops,
    'Connection names the Content-Length of a body',
    post(['Connection: content-length', 'Content-Length: 2'], 'hi'),
  ),
  refuse(
    hops,
    'Connection names the Transfer-Encoding of a body',
    post(['Connection: Transfer-Encoding', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  ),
]

const expectations: readonly RequestCase[] = [
  accept(expects, '100-continue', post(['Expect: 100-continue', 'Content-Length: 2'], 'hi'), posted('hi')),
  accept(
    expects,
    '100-Continue: it has no case',
    post(['Expect: 100-Continue', 'Content-Length: 2'], 'hi'),
    posted('hi'),
  ),
  accept(
    expects,
    '100-continue with a chunked body',
    post(['Expect: 100-continue', 'Transfer-Encoding: chunked'], '2\r\nhi\r\n0\r\n\r\n'),
    posted('hi'),
  ),
  accept(expects, '100-continue without a body', get('Expect: 100-continue')),
  accept(
    expects,
    '100-continue on HTTP/1.0 is ignored',
    'POST / HTTP/1.0\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi',
    posted('hi'),
    'closed',
  ),
  ...[
    '100',
    'continue',
    '200-ok',
    '100-continue, x',
    '100-continue; q=1',
    '100 -continue',
    'x',
    'y 100-continue',
    '\xff',
  ].map(value => refuse('RFC 9110 §15.5.18', `expectation ${JSON.stringify(value)}`, get(`Expect: ${value}`), 417)),
  refuse(expects, 'Expect twice', get('Expect: 100-continue', 'Expect: 100-continue'), [400, 417]),
  refuse(
    expects,
    'an expectation nobody knows, in front of a body',
    post(['Expect: x', 'Content-Length: 2'], 'hi'),
    417,
  ),
]

const hostile: readonly (readonly [string, string, number | readonly number[]])[] = [
  ['bare LF', 'GET /hidden HTTP/1.1\nHost: a.test\n\n', 400],
  ['no Host', 'GET /hidden HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', 'GET /hidden HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n', 400],
  [
    'both lengths',
    'GET /hidden HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['obs-fold', 'GET /hidden HTTP/1.1\r\nHost: a.test\r\nX: y\r\n z\r\n\r\n', 400],
  ['a space in front of the colon', 'GET /hidden HTTP/1.1\r\nHost: a.test\r\nX : y\r\n\r\n', 400],
  ['HTTP/0.9', 'GET /hidden\r\n\r\n', 400],
  ['HTTP/2.0', 'GET /hidden HTTP/2.0\r\nHost: a.test\r\n\r\n', 505],
  ['NUL', 'GET /hidden\0 HTTP/1.1\r\nHost: a.test\r\n\r\n', 400],
  ['CONNECT', 'CONNECT hidden:443 HTTP/1.1\r\nHost: a.test\r\n\r\n', 501],
  ['an unknown coding', 'POST /hidden HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip\r\n\r\n', 501],
  ['an unknown expectation', 'GET /hidden HTTP/1.1\r\nHost: a.test\r\nExpect: x\r\n\r\n', 417],
  ['too many fields', `GET /hidden HTTP/1.1\r\nHost: a.test\r\n${'X: y\r\n'.repeat(100)}\r\n`, 431],
  ['a target past its limit', `GET /${'h'.repeat(8000)} HTTP/1.1\r\nHost: a.test\r\n\r\n`, 414],
  ['a status line', 'HTTP/1.1 200 hidden\r\nContent-Length: 0\r\n\r\n', 400],
]

const bodies: readonly (readonly [string, string, ReturnType<typeof message>])[] = [
  ['GET', head, message()],
  ['POST with a length', post(['Content-Length: 2'], 'hi'), posted('hi')],
  ['POST with chunks', chunked('2\r\nhi\r\n0\r\n\r\n'), posted('hi')],
]

const rows: readonly RequestCase[] = [
  ...[2, 3, 10, 30].map(count =>
    accept(
      pipelines,
      `${count} requests in a row`,
      head.repeat(count),
      Array<ReturnType<typeof message>>(count).fill(message()),
      'open',
      {
        cuts: [1, 32, 33, 34, 35, 36, 37, 38, 39, 60],
      },
    ),
  ),
  accept(pipelines, 'requests of all framings in a row', bodies.map(([, text]) => text).join('') + head, [
    ...bodies.map(([, , understood]) => understood),
    message(),
  ]),
  ...hostile.flatMap(([name, text, status]) =>
    bodies.map(([first, valid, understood], n) =>
      refuse(pipelines, `behind a valid ${first}: ${name}`, valid + text, status, {
        messages: [understood],
        absent: ['hidden'],
        ...(text.length > 100 || n > 0
          ? { cuts: [1, valid.length - 1, valid.length, valid.length + 1, valid.length + 20] }
          : {}),
      }),
    ),
  ),
  {
    ...refuseBody(pipelines, 'behind a valid GET: a broken chunk', head + chunked('5\r\nhelloX')),
    messages: [message()],
  },
  {
    ...refuse(pipelines, 'behind two valid ones: NUL', `${head}${head}\0${head}`),
    messages: [message(), message()],
  },
  ...['Connection: close', 'Connection: x, close'].map(line =>
    accept(
      pipelines,
      `what follows ${line} is ignored`,
      `${get(line)}GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n`,
      message(),
      'closed',
      {
        absent: ['hidden'],
      },
    ),
  ),
  accept(
    pipelines,
    'what follows an HTTP/1.0 request is ignored',
    'GET / HTTP/1.0\r\nHost: a.test\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n',
    message(),
    'closed',
    { absent: ['hidden'] },
  ),
  accept(
    pipelines,
    'what follows a last request with a body is ignored',
    `${post(['Connection: close', 'Content-Length: 2'], 'hi')}GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n`,
    posted('hi'),
    'closed',
    { absent: ['hidden'] },
  ),
]

const nested = 'GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n'
const asBody = (...lines: string[]): string => post(lines, nested)

const probes: readonly RequestCase[] = [
  refuse(smuggling, 'CL.TE', post(['Content-Length: 6', 'Transfer-Encoding: chunked'], '0\r\n\r\nG'), 400, {
    absent: ['hidden'],
  }),
  refuse(
    smuggling,
    'CL.TE with a whole request',
    post([`Content-Length: ${nested.length + 5}`, 'Transfer-Encoding: chunked'], `0\r\n\r\n${nested}`),
  ),
  refuse(
    smuggling,
    'TE.CL',
    post(
      ['Content-Length: 4', 'Transfer-Encoding: chunked'],
      `${nested.length.toString(16)}\r\n${nested}\r\n0\r\n\r\n`,
    ),
  ),
  refuse(
    smuggling,
    'TE.TE',
    post(['Content-Length: 4', 'Transfer-Encoding: chunked', 'Transfer-encoding: cow'], '5c\r\n'),
    [400, 501],
  ),
  refuse(smuggling, 'CL.CL', post(['Content-Length: 0', `Content-Length: ${nested.length}`], nested)),
  refuse(
    smuggling,
    'TE.0 with a disguised coding',
    post(['Transfer-Encoding: chunked;x'], `${nested.length.toString(16)}\r\n${nested}\r\n0\r\n\r\n`),
  ),
  accept(
    smuggling,
    'CL.0: a request as a body stays a body',
    asBody(`Content-Length: ${nested.length}`),
    posted(nested),
  ),
  accept(
    smuggling,
    '0.CL: a GET with a request as its body stays one request',
    `GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${nested.length}\r\n\r\n${nested}`,
    message({ body: nested }),
  ),
  accept(
    smuggling,
    'HEAD with a request as its body stays one request',
    `HEAD / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${nested.length}\r\n\r\n${nested}`,
    message({ method: 'HEAD', body: nested }),
  ),
  accept(
    smuggling,
    'TE.0: a request as a chunk stays a body',
    chunked(`${nested.length.toString(16)}\r\n${nested}\r\n0\r\n\r\n`),
    posted(nested),
  ),
  accept(
    smuggling,
    'OPTIONS with a request as its chunk stays one request',
    `OPTIONS / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${nested.length.toString(16)}\r\n${nested}\r\n0\r\n\r\n`,
    message({ method: 'OPTIONS', body: nested }),
  ),
  accept(
    smuggling,
    'Expect with a request as the body',
    asBody('Expect: 100-continue', `Content-Length: ${nested.length}`),
    posted(nested),
  ),
  refuse(
    smuggling,
    'obfuscated Expect in front of a request as the body',
    asBody('Expect: y 100-continue', `Content-Length: ${nested.length}`),
    417,
  ),
  refuse(
    smuggling,
    'Content-Length zero and a hidden length',
    asBody('Content-Length: 0', ` Content-Length: ${nested.length}`),
  ),
  refuse(
    smuggling,
    'Connection drops Content-Length',
    asBody('Connection: Content-Length', `Content-Length: ${nested.length}`),
  ),
  accept(
    smuggling,
    'fields of HTTP/2 downgrading are fields like any other',
    get('HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA', 'X-End: 1'),
    message({
      headers: [
        ['HTTP2-Settings', 'AAMAAABkAARAAAAAAAIAAAAA'],
        ['X-End', '1'],
      ],
    }),
  ),
  refuseBody(smuggling, 'TERM.SPILL', chunked('5\r\nhelloXX\r\n0\r\n\r\n')),
  refuseBody(smuggling, 'EXT.TERM', chunked(`2;\nxx\r\n${nested.length.toString(16)}\r\n0\r\n\r\n${nested}`), {
    absent: ['hidden'],
  }),
  refuseBody(smuggling, 'TERM.EXT', chunked(`2;\r\nxx\r\n0\r\n\r\n${nested}`), { absent: ['hidden'] }),
  refuseBody(smuggling, 'ONE.TWO', chunked('2\r\nxx\n0\r\n\r\n')),
  refuseBody(smuggling, 'ZERO.TWO', chunked('2\r\nxx0\r\n\r\n')),
  refuseBody(smuggling, 'a negative last chunk in front of a request', chunked(`-0\r\n\r\n${nested}`), {
    absent: ['hidden'],
  }),
]

export const connections: readonly RequestCase[] = [...hopByHop, ...expectations, ...rows, ...probes]
