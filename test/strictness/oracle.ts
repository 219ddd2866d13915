// Node's own HTTP parser as the judge: what its server and its client make of raw bytes.

import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import type { Pairs } from './case.ts'

export interface NodeMessage {
  readonly method: string
  readonly target: string
  readonly headers: Pairs
  body: string
  trailers: Pairs
  isComplete: boolean
}

export interface NodeVerdict {
  readonly messages: readonly NodeMessage[]
  /** Code of the parser's error, empty without one. */
  readonly error: string
}

/** A `node:http` server that says what it understood. */
export class NodeServer {
  readonly #server = http.createServer({ insecureHTTPParser: false, maxHeaderSize: 65_536, requireHostHeader: false })
  #messages: NodeMessage[] = []
  #error = ''

  static async open(): Promise<NodeServer> {
    const judge = new NodeServer()
    const server = judge.#server
    server.on('request', (request, response) => judge.#requested(request, response))
    server.on('checkContinue', (request, response) => judge.#requested(request, response))
    server.on('checkExpectation', (request, response) => judge.#requested(request, response))
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      judge.#error = error.code ?? 'error'
      socket.destroy()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return judge
  }

  /** Sends the bytes on a connection of their own and closes it. */
  async judge(bytes: Buffer): Promise<NodeVerdict> {
    this.#messages = []
    this.#error = ''
    const socket = net.connect((this.#server.address() as AddressInfo).port, '127.0.0.1')
    socket.on('error', () => {})
    socket.resume()
    socket.end(bytes)
    await once(socket, 'close')
    return { messages: this.#messages.filter(({ isComplete }) => isComplete), error: this.#error }
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #requested(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', rawHeaders } = request
    const heard: NodeMessage = {
      method,
      target: url,
      headers: pairsOf(rawHeaders),
      body: '',
      trailers: [],
      isComplete: false,
    }
    this.#messages.push(heard)
    request.setEncoding('latin1')
    request.on('data', (text: string) => {
      heard.body += text
    })
    request.on('error', () => {})
    request.on('end', () => {
      heard.isComplete = request.complete
      heard.trailers = pairsOf(request.rawTrailers)
      response.end()
    })
  }
}

export interface NodeReply {
  readonly status: number
  readonly reason: string
  readonly headers: Pairs
  readonly body: string
  readonly trailers: Pairs
}

/** A raw server whose reply `node:http`'s client reads. */
export class NodeClient {
  readonly #server = net.createServer(socket => this.#connected(socket))
  #bytes: Buffer = Buffer.alloc(0)

  static async open(): Promise<NodeClient> {
    const judge = new NodeClient()
    judge.#server.listen(0, '127.0.0.1')
    await once(judge.#server, 'listening')
    return judge
  }

  /** What Node's client gets when the upstream sends the bytes and closes; null where it is no whole reply. */
  judge(bytes: Buffer, method: string): Promise<NodeReply | null> {
    this.#bytes = bytes
    const { port } = this.#server.address() as AddressInfo
    return new Promise(resolve => {
      const request = http.request({
        port,
        host: '127.0.0.1',
        method,
        agent: false,
        insecureHTTPParser: false,
        maxHeaderSize: 65_536,
      })
      request.on('error', () => resolve(null))
      request.on('upgrade', (_, socket) => {
        socket.destroy()
        resolve(null)
      })
      request.on('response', response => void readReply(response).then(resolve))
      request.end()
    })
  }

  close(): void {
    this.#server.close()
  }

  #connected(socket: Socket): void {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(this.#bytes))
  }
}

function readReply(response: IncomingMessage): Promise<NodeReply | null> {
  return new Promise(resolve => {
    let body = ''
    response.setEncoding('latin1')
    response.on('data', (text: string) => {
      body += text
    })
    response.on('error', () => resolve(null))
    response.on('close', () => {
      if (!response.complete) return resolve(null)
      const { statusCode: status = 0, statusMessage: reason = '' } = response
      resolve({ status, reason, headers: pairsOf(response.rawHeaders), body, trailers: pairsOf(response.rawTrailers) })
    })
  })
}

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([raw[i] as string, raw[i + 1] as string])
  return pairs
}
