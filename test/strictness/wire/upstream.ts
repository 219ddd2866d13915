// Upstreams of raw TCP: one that writes down what it receives, one that sends what it is told.

import { once } from 'node:events'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import type { ReplyCase } from '../reply-case.ts'
import { fieldOf, readHeadFields, readRequest, type WireMessage } from './parse.ts'

/** What came from one client, told apart by the address in X-Forwarded-For. */
export interface Received {
  readonly messages: WireMessage[]
  /** Messages of which the head came but not the end. */
  unfinished: number
}

/** Listens and counts what is open. */
class RawServer {
  readonly sockets: Set<Socket> = new Set()
  readonly problems: string[] = []
  readonly #server: Server

  constructor(connected: (socket: Socket) => void) {
    this.#server = net.createServer({ noDelay: true }, socket => {
      this.sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.sockets.delete(socket))
      connected(socket)
    })
  }

  async listen(): Promise<number> {
    this.#server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 })
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  close(): void {
    this.#server.close()
    for (const socket of this.sockets) socket.destroy()
  }
}

/** Answers each whole request with `200` and `ok`, and keeps it. */
export class Recorder {
  readonly raw: RawServer = new RawServer(socket => this.#connected(socket))
  readonly #byClient = new Map<string, Received>()

  static async open(): Promise<{ recorder: Recorder; port: number }> {
    const recorder = new Recorder()
    return { recorder, port: await recorder.raw.listen() }
  }

  /** What came from this client; forgotten here. */
  take(client: string): Received {
    const received = this.#byClient.get(client) ?? { messages: [], unfinished: 0 }
    this.#byClient.delete(client)
    return received
  }

  #connected(socket: Socket): void {
    let bytes: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      try {
        for (let message = readRequest(bytes); message !== null; message = readRequest(bytes)) {
          bytes = bytes.subarray(message.raw.length)
          this.#of(fieldOf(message, 'x-forwarded-for')).messages.push(message)
          const isHead = message.startLine.startsWith('HEAD ')
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${isHead ? '' : 'ok'}`)
        }
      } catch (error) {
        this.raw.problems.push(`${(error as Error).message} in ${JSON.stringify(bytes.toString('latin1', 0, 300))}`)
        socket.destroy()
      }
    })
    socket.on('close', () => {
      if (bytes.length === 0) return
      const client = readHeadFields(bytes)?.find(([name]) => name.toLowerCase() === 'x-forwarded-for')?.[1]
      this.#of(client).unfinished++
    })
  }

  #of(client = 'nobody'): Received {
    const known = this.#byClient.get(client)
    if (known !== undefined) return known
    const received: Received = { messages: [], unfinished: 0 }
    this.#byClient.set(client, received)
    return received
  }
}

/** Answers `/…/<case>/<cut>` with the bytes of that case, cut there; 0 is whole. Watches which connections are used again. */
export class Scripted {
  readonly raw: RawServer = new RawServer(socket => this.#connected(socket))
  /** Connections on which more than one call was served. */
  reused = 0
  isClosing = false
  readonly #cases: readonly ReplyCase[]

  constructor(cases: readonly ReplyCase[]) {
    this.#cases = cases
  }

  close(): void {
    this.isClosing = true
    this.raw.close()
  }

  #connected(socket: Socket): void {
    let bytes: Buffer = Buffer.alloc(0)
    let before: ReplyCase | undefined
    socket.on('data', (chunk: Buffer) => {
      // A call may cross the close on its way: nobody can know, and it is sent again elsewhere.
      if (socket.writableEnded) return
      bytes = Buffer.concat([bytes, chunk])
      const message = readRequest(bytes)
      if (message === null) return
      bytes = bytes.subarray(message.raw.length)
      if (before !== undefined) this.reused++
      if (before?.isReusable === false) this.raw.problems.push(`a call came behind: ${before.name}`)
      const [index, cut] = (message.startLine.split(' ')[1] ?? '').split('/').slice(-2).map(Number)
      const item = this.#cases[index ?? -1]
      before = item
      if (item === undefined) socket.destroy()
      else send(socket, item, cut ?? 0)
    })
    socket.on('close', () => {
      if (before?.isReusable === true && !socket.writableEnded && !this.isClosing)
        this.raw.problems.push(`closed, though reusable, behind: ${before.name}`)
    })
  }
}

function send(socket: Socket, { bytes, after }: ReplyCase, cut: number): void {
  const finish = (rest: Buffer) => {
    if (rest.length > 0) socket.write(rest)
    if (after === 'fin') socket.end()
  }
  if (cut === 0) return finish(bytes)
  socket.write(bytes.subarray(0, cut))
  setTimeout(() => finish(bytes.subarray(cut)), 1)
}
