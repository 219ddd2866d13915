// An upstream with one path for each shape of reply, for tests that compare what came through with what was sent.

import { setTimeout as pause } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { echo, type Handler } from './origin.ts'

const octets = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

/** Target to answer. Other targets are echoed. */
export const answers: Readonly<Record<string, Handler>> = {
  '/empty': (_, response) => response.writeHead(200, { 'content-length': 0 }).end(),
  '/no-content': (_, response) => response.writeHead(204).end(),
  '/not-modified': (_, response) => response.writeHead(304, { etag: '"a"', 'cache-control': 'max-age=60' }).end(),
  '/created': (_, response) => response.writeHead(201, 'Made Today', { location: '/made/1' }).end('made'),
  '/missing': (_, response) => response.writeHead(404, { 'content-type': 'text/html' }).end('<p>not here</p>'),
  '/broken': (_, response) => response.writeHead(500).end('broken'),
  '/teapot': (_, response) => response.writeHead(418).end(),
  '/unknown-status': (_, response) => response.writeHead(499, 'Own Status').end('own'),
  '/octets': (_, response) => response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(octets),
  '/gzip': (_, response) => {
    response
      .writeHead(200, { 'content-encoding': 'gzip', vary: 'accept-encoding' })
      .end(gzipSync('packed'.repeat(1000)))
  },
  '/large': (_, response) =>
    response.writeHead(200, { 'content-length': 1_000_000 }).end(Buffer.alloc(1_000_000, 'large')),
  '/cookies': (_, response) => {
    response
      .writeHead(200, { 'Set-Cookie': ['a=1; Path=/', 'b=2; Secure'], 'X-Mixed-Case': 'Kept', 'x-empty': '' })
      .end('c')
  },
  '/latin': (_, response) =>
    response.writeHead(200, { 'x-latin': Buffer.from('é ü', 'latin1').toString('latin1') }).end('l'),
  '/chunks': async (_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    for (const word of ['one ', 'two ', 'three']) {
      response.write(word)
      await pause(1)
    }
    response.end()
  },
  '/trailers': (_, response) => {
    response.writeHead(200, { trailer: 'x-sum' })
    response.write('body')
    response.addTrailers({ 'x-sum': '42' })
    response.end()
  },
  '/hints': (_, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' })
    response.writeHead(200).end('hinted')
  },
  '/close': (_, response) => response.writeHead(200, { connection: 'close' }).end('closing'),
}

export const answer: Handler = (request, response, body) =>
  (answers[request.url ?? ''] ?? echo)(request, response, body)
