// One HTTP exchange: no redirects, no compression, a bounded body.

import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { OutsideError, type OutsideReply, type OutsideRequest } from '../core/outside.ts'
import { type Exchange, outsideErrorOf } from './deadline.ts'
import { bare } from './rules.ts'

/** `url` was judged before. */
export function exchangeHttp(request: OutsideRequest, url: URL, agent: Agent, exchange: Exchange<OutsideReply>): void {
  const body = request.body === undefined ? null : Buffer.from(request.body)
  const send = (isSecond: boolean) => {
    const outgoing = (url.protocol === 'https:' ? https : http).request(url, {
      method: request.method,
      agent,
      ...(request.target !== undefined && { path: request.target }),
      // Node would take it from the field Host.
      ...(url.protocol === 'https:' && { servername: isIP(bare(url.hostname)) === 0 ? url.hostname : '' }),
      headers: {
        'user-agent': 'turnpike',
        ...request.headers,
        'accept-encoding': 'identity',
        ...((body !== null || request.method === 'POST') && { 'content-length': body?.length ?? 0 }),
      },
    })
    exchange.onEnd = error => {
      if (error !== null) outgoing.destroy()
    }
    // The reply to HEAD says how long a body would be, and has none.
    const bytesMax = request.method === 'HEAD' ? Infinity : request.bodyBytesMax
    outgoing.on('response', reply => read(reply, bytesMax, exchange))
    outgoing.on('error', error => {
      // The server closed a kept connection in the moment it was used again: what can be repeated is sent once more.
      if (!isSecond && !exchange.isOver && mayRepeat(request, outgoing, error)) send(true)
      else exchange.fail(outsideErrorOf(error))
    })
    outgoing.end(body ?? undefined)
  }
  send(false)
}

function mayRepeat(request: OutsideRequest, outgoing: ClientRequest, error: Error): boolean {
  const isReset = 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
  return isReset && outgoing.reusedSocket && (request.method === 'GET' || request.isRepeatable === true)
}

function read(reply: IncomingMessage, bytesMax: number, exchange: Exchange<OutsideReply>): void {
  const coding = reply.headers['content-encoding']
  if (coding !== undefined && coding !== 'identity') {
    return exchange.fail(new OutsideError('malformed', 'the reply is compressed although none was asked for'))
  }
  const tooLarge = () => exchange.fail(new OutsideError('too-large', `the reply is larger than ${bytesMax} bytes`))
  if (Number(reply.headers['content-length'] ?? 0) > bytesMax) return tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  reply.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > bytesMax) tooLarge()
    else chunks.push(chunk)
  })
  reply.on('end', () => {
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(reply.headersDistinct)) {
      headers[name] = (value ?? []).join(name === 'set-cookie' ? '\n' : ', ')
    }
    exchange.finish({ status: reply.statusCode ?? 0, headers, body: Buffer.concat(chunks) })
  })
  reply.on('error', error => exchange.fail(outsideErrorOf(error)))
  reply.on('close', () => exchange.fail(new OutsideError('unreachable', 'the reply was cut short')))
}
