// Calls over HTTP/2 whose fields no library would send: each octet goes as it is written.

import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { frame, settings } from '../../src/http2/fakes.ts'
import { HpackDecoder } from '../../src/http2/hpack-decoder.ts'
import { Flag, FrameType } from '../../src/http2/protocol.ts'
import { SharedMemory } from '../../src/http2/shared-memory.ts'
import { WriteBatch } from '../../src/http/write-batch.ts'
import { FrameClient } from './frame-client.ts'

export type RawFields = readonly (readonly [name: string, value: string])[]

export interface RawCall {
  readonly fields: RawFields
  readonly data?: readonly string[]
  readonly trailers?: RawFields
  /** The client's side stays open. */
  readonly isOpen?: boolean
}

export interface RawAnswer {
  /** 0 where there was none. */
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The code of a problem; empty for other bodies. */
  readonly code: string
  /** Code of RST_STREAM, -1 without one. */
  readonly reset: number
}

/** One connection on which each call is looked at by itself. */
export class RawHttp2 implements Disposable {
  readonly client: FrameClient
  readonly #decoder = new HpackDecoder(65_536, new SharedMemory(new WriteBatch(() => {})))
  readonly #fields = new Map<number, IncomingHttpHeaders>()
  readonly #texts = new Map<number, string>()
  readonly #closed: Promise<unknown>
  #nextId = 1

  private constructor(client: FrameClient) {
    this.client = client
    this.#closed = once(client.socket, 'close')
    client.onHeaders = (streamId, block) => this.#decode(streamId, block)
    client.onData = (streamId, bytes) => {
      this.#texts.set(streamId, (this.#texts.get(streamId) ?? '') + bytes.toString())
    }
  }

  static async connect(port: number): Promise<RawHttp2> {
    const client = await FrameClient.connect(port)
    client.send(settings)
    return new RawHttp2(client)
  }

  /** Sends a call at once, and waits until its stream is over. */
  async ask({ fields, data = [], trailers, isOpen = false }: RawCall): Promise<RawAnswer> {
    const id = this.#nextId
    this.#nextId += 2
    const lastIsHead = data.length === 0 && trailers === undefined && !isOpen
    const frames = [frame(FrameType.headers, Flag.endHeaders | (lastIsHead ? Flag.endStream : 0), id, blockOf(fields))]
    for (const [index, text] of data.entries()) {
      const isLast = index === data.length - 1 && trailers === undefined && !isOpen
      frames.push(frame(FrameType.data, isLast ? Flag.endStream : 0, id, Buffer.from(text)))
    }
    if (trailers !== undefined) {
      frames.push(frame(FrameType.headers, Flag.endHeaders | Flag.endStream, id, blockOf(trailers)))
    }
    this.client.send(...frames)
    const seen = this.client.seen(id)
    const { socket } = this.client
    const signal = AbortSignal.timeout(30_000)
    while (!seen.isEnded && seen.code < 0 && !this.client.isClosed) {
      await Promise.race([once(socket, 'data', { signal }), this.#closed])
    }
    const { ':status': status = '0', ...headers } = this.#fields.get(id) ?? {}
    // What follows a refusal, such as a reset, has come when a PING was answered.
    if (status !== '200') await this.client.settled()
    const text = this.#texts.get(id) ?? ''
    const isProblem = headers['content-type'] === 'application/problem+json'
    const code = isProblem ? (JSON.parse(text) as { code: string }).code : ''
    return { status: Number(status), headers, text, code, reset: seen.code }
  }

  [Symbol.dispose](): void {
    this.client.socket.destroy()
  }

  #decode(streamId: number, block: Buffer): void {
    if (!this.#decoder.decode(block, 0, block.length)) throw new Error('a header block that cannot be read')
    const { names, values, count } = this.#decoder
    const fields = Array.from({ length: count }, (_, i) => [names[i]?.name ?? '', values[i] ?? ''])
    // The first block is the head, a second one trailers.
    if (!this.#fields.has(streamId)) this.#fields.set(streamId, Object.fromEntries(fields) as IncomingHttpHeaders)
  }
}

/** Literals without indexing (RFC 7541 §6.2.2), for whatever a peer may think of. */
function blockOf(fields: RawFields): Buffer {
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.of(0), literal(name), literal(value)])))
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  return Buffer.concat([integer(bytes.length), bytes])
}

/** RFC 7541 §5.1 with a prefix of seven bits. */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.of(value)
  const octets = [127]
  let rest = value - 127
  for (; rest >= 128; rest >>= 7) octets.push(128 | (rest & 127))
  return Buffer.from([...octets, rest])
}
