// Valid messages, and fast-check arbitraries that damage them the way attackers do.

import * as fc from 'fast-check'
import { chunked, get, latin1, post } from './case.ts'
import { ok } from './reply-case.ts'

const validRequests: readonly string[] = [
  get(),
  get('X: y', 'Cookie: a=1', 'Cookie: b=2', 'Accept: */*'),
  get('Connection: keep-alive, X-Hop', 'X-Hop: 1', 'X-End: \xe9'),
  get('Connection: close'),
  'GET /a%20b?c=d&e=%2f HTTP/1.1\r\nHost: a.test:8080\r\nUser-Agent: x\r\n\r\n',
  'GET http://b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: [::1]\r\n\r\n',
  'HEAD /x HTTP/1.0\r\nHost: a.test\r\n\r\n',
  'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
  post(['Content-Length: 5'], 'hello'),
  post(['Content-Length: 12'], 'GET / HTTP/1'),
  'PUT /x HTTP/1.1\r\nContent-Length: 0\r\nHost: a.test\r\n\r\n',
  chunked('5\r\nhello\r\n0\r\n\r\n'),
  chunked('a;b=c\r\n0123456789\r\n1;d="e"\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n'),
  chunked('1\r\na\r\n1\r\nb\r\n0\r\n\r\n'),
  post(['Expect: 100-continue', 'Content-Length: 2'], 'hi'),
  `\r\n${get('TE: trailers')}`,
]

const validReplies: readonly string[] = [
  ok(['Content-Length: 5', 'X: y'], 'hello'),
  ok(['Content-Length: 0', 'Set-Cookie: a=1', 'Set-Cookie: b=2']),
  ok(['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n'),
  ok(['Transfer-Encoding: chunked', 'X: \xe9'], '5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n'),
  ok(['Connection: close'], 'hello'),
  'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi',
  'HTTP/1.1 204 No Content\r\nX: y\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
  'HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno',
  `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok(['Content-Length: 2'], 'hi')}`,
]

/** What may do harm where it does not belong. */
const hazards: readonly string[] = [
  ...['\r', '\n', '\r\n', '\r\n\r\n', '\n\n', '\r\r\n', ' ', '\t', '\v', '\f', '\0', '\x7f', '\x80', '\xa0', '\xff'],
  ...[':', ',', ';', '=', '"', '\\', '/', '%', '#', '?', '_', '-', '+', '0', '1', '5', 'f', 'x', '0x', 'G'],
  ...['chunked', ', chunked', 'gzip, ', 'close', 'HTTP/1.0', 'HTTP/1.1', 'Host: b.test\r\n', 'Connection: close\r\n'],
  ...['Content-Length: 3\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: x\r\n'],
  ...[
    '0\r\n\r\n',
    '5\r\n',
    ' folded\r\n',
    'Transfer-Encoding : chunked\r\n',
    'Content_Length: 3\r\n',
    get(),
    '\x01\x16',
  ],
]

type Mutation = (text: string) => string

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
const at = (share: number, text: string): number => Math.floor(share * (text.length + 1))
const hazard = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...hazards) },
  fc.nat(255).map(octet => String.fromCharCode(octet)),
)

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, hazard).map(([share, what]) => insert(share, what)),
  fc.tuple(place, hazard).map(([share, what]) => replace(share, what)),
  fc.tuple(place, fc.integer({ min: 1, max: 4 })).map(([share, count]) => remove(share, count)),
  fc.tuple(place, place, fc.integer({ min: 1, max: 40 })).map(([from, to, count]) => copy(from, to, count)),
  place.map(repeatLine),
)

function insert(share: number, what: string): Mutation {
  return text => text.slice(0, at(share, text)) + what + text.slice(at(share, text))
}

function replace(share: number, what: string): Mutation {
  return text => text.slice(0, at(share, text)) + what + text.slice(at(share, text) + what.length)
}

function remove(share: number, count: number): Mutation {
  return text => text.slice(0, at(share, text)) + text.slice(at(share, text) + count)
}

function copy(from: number, to: number, count: number): Mutation {
  return text => insert(to, text.slice(at(from, text), at(from, text) + count))(text)
}

function repeatLine(share: number): Mutation {
  return text => {
    const lines = text.split('\r\n')
    const line = Math.floor(share * lines.length)
    return [...lines.slice(0, line + 1), ...lines.slice(line)].join('\r\n')
  }
}

function damaged(valid: readonly string[], countMax: number): fc.Arbitrary<Buffer> {
  const row = fc.array(fc.constantFrom(...valid), { minLength: 1, maxLength: countMax }).map(texts => texts.join(''))
  const mutations = fc.array(mutation, { maxLength: 3 })
  return fc.tuple(row, mutations).map(([text, list]) => latin1(list.reduce((result, mutate) => mutate(result), text)))
}

/** One to three requests in a row, with none to three damages. */
export const damagedRequests: fc.Arbitrary<Buffer> = damaged(validRequests, 3)

/** One reply with none to three damages. */
export const damagedReply: fc.Arbitrary<Buffer> = damaged(validReplies, 1)
