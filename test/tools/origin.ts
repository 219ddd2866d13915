// An upstream server of node:http that counts what reaches it.

import { once } from 'node:events'
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

export type Handler = (request: IncomingMessage, response: ServerResponse, body: Buffer) => unknown

export interface OriginOptions {
  /** Makes it speak TLS. */
  readonly tls?: https.ServerOptions
  /** The handler reads the body itself. */
  readonly isStreaming?: boolean
}

/** Owns the server until it is disposed. */
export class Origin implements AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly server: Server
  readonly sockets: Set<Socket> = new Set()
  /** Connections accepted so far. */
  opened = 0
  /** Request heads received so far. */
  calls = 0
  /** Request heads received so far, by target. */
  readonly targets: Map<string, number> = new Map()

  private constructor(server: Server, scheme: string) {
    this.server = server
    this.port = (server.address() as AddressInfo).port
    this.url = `${scheme}://127.0.0.1:${this.port}`
  }

  static async start(handler: Handler, options: OriginOptions = {}): Promise<Origin> {
    const server = options.tls === undefined ? http.createServer() : https.createServer(options.tls)
    server.keepAliveTimeout = 0
    server.requestTimeout = 0
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
    await once(server, 'listening')
    const origin = new Origin(server, options.tls === undefined ? 'http' : 'https')
    server.on(options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      origin.opened++
      origin.sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => origin.sockets.delete(socket))
    })
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      origin.calls++
      const target = request.url ?? ''
      origin.targets.set(target, (origin.targets.get(target) ?? 0) + 1)
      void answer(handler, request, response, options.isStreaming === true)
    }
    server.on('request', serve)
    return origin
  }

  /** Connections open now. */
  get open(): number {
    return this.sockets.size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.server, 'close')
    this.server.close()
    for (const socket of this.sockets) socket.destroy()
    await closed
  }
}

async function answer(
  handler: Handler,
  request: IncomingMessage,
  response: ServerResponse,
  isStreaming: boolean,
): Promise<void> {
  try {
    const chunks: Buffer[] = []
    if (!isStreaming) for await (const chunk of request) chunks.push(chunk as Buffer)
    await handler(request, response, Buffer.concat(chunks))
  } catch {
    // The other side went away in the middle: what the test looks at is counted elsewhere.
    response.destroy()
  }
}

/** Answers with what it was asked: method, target, headers and body, as JSON. */
export const echo: Handler = (request, response, body) => {
  const { method, url, headers, rawHeaders } = request
  const text = JSON.stringify({
    method,
    url,
    headers,
    rawHeaders,
    body: body.toString('latin1'),
    trailers: request.trailers,
  })
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

/** What `echo` answers. */
export interface Echoed {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly rawHeaders: readonly string[]
  readonly body: string
  readonly trailers: Readonly<Record<string, string>>
}
