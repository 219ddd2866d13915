// Streams that stay open while the gateway changes below them: a WebSocket, an event stream, long bodies; none may lose a byte.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket, WebSocketServer } from 'ws'
import { type Handler, Origin } from './origin.ts'

/** An upstream for all of this: `/events` numbers events without end, `/echo` sends the body back as it comes, others answer. */
export async function startStreamOrigin(): Promise<Origin> {
  const origin = await Origin.start(answer, { isStreaming: true })
  const sockets = new WebSocketServer({ server: origin.server })
  sockets.on('connection', socket => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })))
  return origin
}

const answer: Handler = async (request, response) => {
  if (request.url === '/echo') {
    response.writeHead(200, { 'content-type': 'application/octet-stream' })
    request.pipe(response)
    return
  }
  request.resume()
  if (request.url === '/events') {
    await sendEvents(request, response)
    return
  }
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 5 })
  response.end('hello')
}

async function sendEvents(request: IncomingMessage, response: http.ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (let id = 1; !request.socket.destroyed; id++) {
    response.write(`id: ${id}\ndata: ${'x'.repeat(id % 500)}\n\n`)
    await pause(3)
  }
}

/** A WebSocket that sends numbered messages, one after the echo of the other. */
export class Talk {
  echoed = 0
  /** Set when it closed before `stop`. */
  broken: string | null = null
  readonly #socket: WebSocket
  #isOver = false

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', data => {
      const text = (data as Buffer).toString()
      if (text !== String(this.echoed + 1)) this.broken ??= `echo ${text} in place of ${this.echoed + 1}`
      this.echoed++
      setTimeout(() => this.#say(), 2)
    })
    socket.on('close', code => {
      if (!this.#isOver) this.broken ??= `closed with ${code}`
    })
    socket.on('error', error => {
      this.broken ??= error.message
    })
    this.#say()
  }

  static async start(port: number, path = '/talk'): Promise<Talk> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`)
    await once(socket, 'open')
    return new Talk(socket)
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN
  }

  async stop(): Promise<void> {
    this.#isOver = true
    if (this.#socket.readyState === WebSocket.CLOSED) return
    const closed = once(this.#socket, 'close')
    this.#socket.close()
    await closed
  }

  #say(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(String(this.echoed + 1))
  }
}

/** Listens to an event stream over one connection and checks that no number is missing. */
export class Listening {
  events = 0
  broken: string | null = null
  readonly #request: ClientRequest
  #rest = ''
  #isOver = false

  private constructor(request: ClientRequest, response: IncomingMessage) {
    this.#request = request
    response.setEncoding('utf8')
    response.on('data', (text: string) => this.#read(text))
    response.on('error', error => this.#ended(error.message))
    response.on('end', () => this.#ended('ended'))
    request.on('error', error => this.#ended(error.message))
  }

  static async start(port: number, path = '/events'): Promise<Listening> {
    const request = http.get({ host: '127.0.0.1', port, path, agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    if (response.statusCode !== 200) throw new Error(`the event stream was answered ${response.statusCode}`)
    return new Listening(request, response)
  }

  stop(): void {
    this.#isOver = true
    this.#request.destroy()
  }

  #read(text: string): void {
    const blocks = (this.#rest + text).split('\n\n')
    this.#rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const id = Number(/^id: (\d+)/.exec(block)?.[1])
      if (id !== this.events + 1) this.broken ??= `event ${id} in place of ${this.events + 1}`
      this.events++
    }
  }

  #ended(why: string): void {
    if (!this.#isOver) this.broken ??= why
  }
}

export interface Carried {
  readonly sent: number
  readonly received: number
  readonly status: number
  /** The reply ended as it should, and it is the same bytes. */
  readonly isWhole: boolean
  readonly isClosing: boolean
}

/** Sends a chunked body piece by piece for so long, while its echo comes back. Rejects where the connection broke. */
export function carry(port: number, forMs: number, path = '/echo'): Promise<Carried> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, path, method: 'POST', agent: false })
    let sent = 0
    let received = 0
    const sentHash = createHash('sha1')
    const receivedHash = createHash('sha1')
    const endMs = performance.now() + forMs
    const send = () => {
      if (request.destroyed) return
      if (performance.now() > endMs) {
        request.end()
        return
      }
      const chunk = Buffer.alloc(1 + Math.floor(Math.random() * 20_000), sent % 251)
      sent += chunk.length
      sentHash.update(chunk)
      request.write(chunk, () => setTimeout(send, 5))
    }
    request.on('error', reject)
    request.on('response', response => {
      response.on('data', (chunk: Buffer) => {
        received += chunk.length
        receivedHash.update(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode = 0, complete, headers } = response
        const isWhole = complete && sentHash.digest('hex') === receivedHash.digest('hex')
        resolve({ sent, received, status: statusCode, isWhole, isClosing: headers.connection === 'close' })
      })
    })
    send()
  })
}

/** Long bodies one after the other, until stopped. */
export class Carriers implements AsyncDisposable {
  whole = 0
  bytes = 0
  readonly lost: string[] = []
  readonly #carriers: Promise<void>[]
  #isOver = false

  constructor(port: number, count: number, forMs: number, path = '/echo') {
    this.#carriers = Array.from({ length: count }, () => this.#run(port, forMs, path))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#carriers)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #run(port: number, forMs: number, path: string): Promise<void> {
    while (!this.#isOver) {
      try {
        const { sent, received, status, isWhole } = await carry(port, forMs, path)
        if (status !== 200 || !isWhole || sent !== received) this.lost.push(`${status}: ${received} of ${sent} bytes`)
        else this.whole++
        this.bytes += received
      } catch (error) {
        this.lost.push((error as Error).message)
        await pause(10)
      }
    }
  }
}
