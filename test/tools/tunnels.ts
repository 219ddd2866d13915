// HTTP/2 servers for upgrades: one that takes extended CONNECT, and one that is slow to say whether it does.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import type { WebSocket } from 'ws'
import { frame } from '../../src/http2/fakes.ts'
import { until } from './until.ts'

/** What asks for a WebSocket. */
export const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' }
export const key = { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }
export const handshakeOf = (path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key['sec-websocket-key']}\r\n\r\n`

/** Node's server: answers an extended CONNECT by its path, and keeps the streams. */
export class Tunnels {
  readonly server: Http2Server = http2.createServer({ settings: { enableConnectProtocol: true } })
  readonly asked: IncomingHttpHeaders[] = []
  readonly streams: Set<ServerHttp2Stream> = new Set()
  sessions = 0

  constructor() {
    this.server.on('session', session => {
      this.sessions++
      session.on('error', () => {})
    })
    this.server.on('stream', (stream: ServerHttp2Stream, headers) => this.#serve(stream, headers))
  }

  /** The stream that was opened last. */
  get last(): ServerHttp2Stream {
    const stream = [...this.streams].at(-1)
    assert.ok(stream !== undefined)
    return stream
  }

  /** Resolves when no stream is left. */
  untilEmpty(): Promise<void> {
    return until(
      () => this.streams.size === 0,
      () => `${this.streams.size} streams to end`,
    )
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    this.asked.push(headers)
    this.streams.add(stream)
    stream.on('error', () => {})
    stream.on('close', () => this.streams.delete(stream))
    const target = headers[':path']
    if (target === '/never') return
    if (target === '/no') {
      stream.respond({ ':status': 403, 'content-type': 'text/plain' })
      return void stream.end('not you')
    }
    stream.respond({ ':status': 200, 'x-server': 'node' })
    if (target === '/echo') stream.pipe(stream)
  }
}

/** Begins to speak HTTP/2 when it is told to. */
export class Late {
  readonly server: net.Server = net.createServer(socket => this.#came(socket))
  readonly sockets: net.Socket[] = []
  received = 0

  #came(socket: net.Socket): void {
    this.sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', chunk => (this.received += chunk.length))
  }

  untilReceived(bytes: number): Promise<void> {
    return until(
      () => this.received >= bytes,
      () => `${bytes} bytes; ${this.received} came`,
    )
  }

  /** SETTINGS with this payload. */
  speak(payload: string): void {
    for (const socket of this.sockets) socket.write(frame(4, 0, 0, payload))
  }
}

export async function listen(server: net.Server | Http2Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Says what it hears, and closes with a code when it is told to. */
export function serveEcho(socket: WebSocket): void {
  socket.on('error', () => {})
  socket.on('message', (data, isBinary) => {
    const text = isBinary ? '' : (data as Buffer).toString()
    if (text.startsWith('close ')) socket.close(Number(text.slice(6)), 'as asked')
    else socket.send(data, { binary: isBinary })
  })
}
