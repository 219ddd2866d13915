// A client of HTTP/2 that sends frames by hand, and keeps count of what comes on each stream.

import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import tls from 'node:tls'
import { Flag, FrameType, preface } from '../../src/http2/protocol.ts'
import { until } from './until.ts'

/** What came on one stream. */
interface Seen {
  bytes: number
  isEnded: boolean
  /** Code of RST_STREAM, -1 without one. */
  code: number
}

export class FrameClient {
  readonly socket: Socket
  readonly streams: Map<number, Seen> = new Map()
  /** Code of GOAWAY, -1 without one. */
  goAway = -1
  isClosed = false
  /** Told the payload of each frame of these types. */
  onHeaders: ((streamId: number, block: Buffer) => void) | null = null
  onData: ((streamId: number, bytes: Buffer) => void) | null = null
  #pongs = 0
  #rest: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('close', () => (this.isClosed = true))
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
  }

  /** Connects, over TLS where its options are given, and says the preface. */
  static async connect(port: number, secure: tls.ConnectionOptions | null = null): Promise<FrameClient> {
    const to = { port, host: '127.0.0.1', noDelay: true }
    const overTls = { ...to, rejectUnauthorized: false, ALPNProtocols: ['h2'], ...secure }
    const socket = secure === null ? net.connect(to) : tls.connect(overTls)
    await once(socket, secure === null ? 'connect' : 'secureConnect')
    socket.write(preface)
    return new FrameClient(socket)
  }

  send(...frames: Buffer[]): void {
    this.socket.write(Buffer.concat(frames))
  }

  seen(streamId: number): Seen {
    const known = this.streams.get(streamId)
    if (known !== undefined) return known
    const fresh = { bytes: 0, isEnded: false, code: -1 }
    this.streams.set(streamId, fresh)
    return fresh
  }

  /** Resolves when the other end has looked at everything that was sent. */
  async settled(): Promise<void> {
    const wanted = this.#pongs + 1
    const ping = Buffer.from([0, 0, 8, FrameType.ping, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    this.socket.write(ping)
    await until(
      () => this.#pongs >= wanted || this.isClosed,
      () => 'the answer to a PING',
    )
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (at + 9 <= bytes.length) {
      const end = at + 9 + bytes.readUIntBE(at, 3)
      if (end > bytes.length) break
      this.#take(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, bytes.readUInt32BE(at + 5), bytes.subarray(at + 9, end))
      at = end
    }
    this.#rest = bytes.subarray(at)
  }

  #take(type: number, flags: number, streamId: number, payload: Buffer): void {
    if (type === FrameType.ping && (flags & Flag.ack) !== 0) this.#pongs++
    else if (type === FrameType.goAway) this.goAway = payload.readUInt32BE(4)
    else if (type === FrameType.resetStream) this.seen(streamId).code = payload.readUInt32BE(0)
    else if (type === FrameType.data || type === FrameType.headers) {
      const seen = this.seen(streamId)
      if (type === FrameType.data) {
        seen.bytes += payload.length
        this.onData?.(streamId, payload)
      } else this.onHeaders?.(streamId, payload)
      if ((flags & Flag.endStream) !== 0) seen.isEnded = true
    }
  }
}
