// A server of HTTP/2 that sends frames by hand, so that a test says when a connection or a stream ends, and how.

import { once } from 'node:events'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { block, frame } from '../../src/http2/fakes.ts'
import { Flag, FrameType, preface, windowMax } from '../../src/http2/protocol.ts'
import { until } from './until.ts'

/** What is done with a request when its head has come. */
export type Act = (connection: FrameConnection, streamId: number) => void

/** Answers when the request has ended, saying by which connection and stream it came. */
export const answer: Act = (connection, streamId) => connection.answerAtEnd(streamId)

/** Owns the server and its connections until it is disposed. */
export class FrameServer implements AsyncDisposable {
  readonly connections: FrameConnection[] = []
  /** One for each request that comes; `answer` when there are none. */
  readonly acts: Act[] = []
  /** What each connection begins with, as identifiers and values of SETTINGS in turn. */
  settings: readonly number[] = []
  /** New connections read and say nothing until `begin`. */
  isMute = false
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', socket => this.connections.push(new FrameConnection(socket, this)))
  }

  static async start(): Promise<FrameServer> {
    const server = net.createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new FrameServer(server)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Requests whose heads came, over all connections. */
  get calls(): number {
    return this.connections.reduce((sum, { requests }) => sum + requests.size, 0)
  }

  at(index: number): FrameConnection {
    const connection = this.connections[index]
    if (connection === undefined) throw new Error(`no connection ${index}`)
    return connection
  }

  /** Resolves when so many requests have come. */
  async called(count: number): Promise<void> {
    await until(
      () => this.calls >= count,
      () => `${count} calls; ${this.calls} came`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const { socket } of this.connections) socket.destroy()
    await closed
  }
}

export class FrameConnection {
  readonly socket: Socket
  /** Requests by stream: what came of their bodies, and whether they are whole. */
  readonly requests: Map<number, { bytes: number; isEnded: boolean }> = new Map()
  /** Codes of the streams that the other end reset. */
  readonly resets: Map<number, number> = new Map()
  isClosed = false
  readonly #server: FrameServer
  readonly #awaited: Set<number> = new Set()
  #rest: Buffer = Buffer.alloc(0)
  #hasPreface = false
  #pings = 0
  #pongs = 0

  constructor(socket: Socket, server: FrameServer) {
    this.socket = socket
    this.#server = server
    socket.on('error', () => {})
    socket.on('close', () => (this.isClosed = true))
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    if (server.isMute) socket.pause()
    else this.begin()
  }

  begin(): void {
    this.socket.resume()
    this.settings(...this.#server.settings)
    // Bodies are never held back: what is tested here is how things end.
    this.send(frame(FrameType.windowUpdate, 0, 0, numbers(windowMax - 65_535)))
  }

  send(...frames: Buffer[]): void {
    this.socket.write(Buffer.concat(frames))
  }

  settings(...pairs: readonly number[]): void {
    const payload = Buffer.alloc(pairs.length * 3)
    for (let i = 0; i < pairs.length; i += 2) {
      payload.writeUInt16BE(pairs[i] ?? 0, i * 3)
      payload.writeUInt32BE(pairs[i + 1] ?? 0, i * 3 + 2)
    }
    this.send(frame(FrameType.settings, 0, 0, payload))
  }

  goAway(lastStreamId: number, code = 0): void {
    this.send(frame(FrameType.goAway, 0, 0, numbers(lastStreamId, code)))
  }

  reset(streamId: number, code: number): void {
    this.send(frame(FrameType.resetStream, 0, streamId, numbers(code)))
  }

  /** The head of a reply, and nothing more of it yet. */
  head(streamId: number): void {
    this.send(frame(FrameType.headers, Flag.endHeaders, streamId, block(':status: 200')))
  }

  /** A whole reply that says by which connection and stream it came, in one write with the frames given. */
  answer(streamId: number, ...behind: Buffer[]): void {
    const text = Buffer.from(`${this.#server.connections.indexOf(this)}/${streamId}`)
    this.send(
      frame(FrameType.headers, Flag.endHeaders, streamId, block(':status: 200')),
      frame(FrameType.data, Flag.endStream, streamId, text),
      ...behind,
    )
  }

  /** Resolves when the other end has looked at everything that was sent. */
  async settled(): Promise<void> {
    const wanted = ++this.#pings
    this.send(frame(FrameType.ping, 0, 0, numbers(0, wanted)))
    await until(
      () => this.#pongs >= wanted || this.isClosed,
      () => 'the answer to a PING',
    )
  }

  answerAtEnd(streamId: number): void {
    if (this.requests.get(streamId)?.isEnded === true) this.answer(streamId)
    else this.#awaited.add(streamId)
  }

  #read(chunk: Buffer): void {
    let bytes = Buffer.concat([this.#rest, chunk])
    if (!this.#hasPreface && bytes.length >= preface.length) {
      this.#hasPreface = true
      bytes = bytes.subarray(preface.length)
    }
    let at = 0
    while (this.#hasPreface && at + 9 <= bytes.length) {
      const end = at + 9 + bytes.readUIntBE(at, 3)
      if (end > bytes.length) break
      this.#take(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, bytes.readUInt32BE(at + 5), bytes.subarray(at + 9, end))
      at = end
    }
    this.#rest = bytes.subarray(at)
  }

  #take(type: number, flags: number, streamId: number, payload: Buffer): void {
    const isEnded = (flags & Flag.endStream) !== 0
    if (type === FrameType.settings && (flags & Flag.ack) === 0) this.send(frame(FrameType.settings, Flag.ack, 0))
    else if (type === FrameType.ping && (flags & Flag.ack) !== 0) this.#pongs++
    else if (type === FrameType.resetStream) this.resets.set(streamId, payload.readUInt32BE(0))
    else if (type === FrameType.headers) {
      this.requests.set(streamId, { bytes: 0, isEnded })
      const act = this.#server.acts.shift() ?? answer
      act(this, streamId)
    } else if (type === FrameType.data) {
      const request = this.requests.get(streamId)
      if (request === undefined) return
      request.bytes += payload.length
      if (payload.length > 0) this.send(frame(FrameType.windowUpdate, 0, streamId, numbers(payload.length)))
      request.isEnded = isEnded
      if (isEnded && this.#awaited.delete(streamId)) this.answer(streamId)
    }
  }
}

/** A payload of 32-bit numbers. */
export function numbers(...values: readonly number[]): Buffer {
  const payload = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) payload.writeUInt32BE(value, index * 4)
  return payload
}
