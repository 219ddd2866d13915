// The codec driven as the edge and the upstream side drive it, without sockets: pieces of bytes in, understood messages out.

import type { Failure } from '../../src/core/failure.ts'
import { Failure as FailureClass } from '../../src/core/failure.ts'
import { Found, HeadBuffer } from '../../src/http/head-buffer.ts'
import { IncomingBody, type IncomingBodyOwner } from '../../src/http/incoming-body.ts'
import { defaultLimits } from '../../src/http/limits.ts'
import { readPath } from '../../src/http/path.ts'
import { decodeReplyHead, Framing, type ReplyHead, replyFraming } from '../../src/http/reply.ts'
import { decodeRequestHead, type RequestHead } from '../../src/http/request.ts'
import type { Message, Pairs } from './case.ts'

export type Ended =
  | { readonly is: 'open' | 'closed' }
  | { readonly is: 'incomplete'; readonly inBody: boolean }
  | { readonly is: 'refused'; readonly status: number; readonly inBody: boolean }

export interface Understood {
  readonly messages: readonly Message[]
  readonly ending: Ended
}

export const strictPaths = {
  dotSegments: 'refuse',
  encodedSlashes: 'refuse',
  emptySegments: 'refuse',
  parameters: 'refuse',
  case: 'sensitive',
} as const

/** Requests as they come over one connection. */
export function understandRequests(pieces: readonly Buffer[], checksPaths = true): Understood {
  const reader = new RequestReader(checksPaths)
  for (const piece of pieces) reader.take(piece)
  return { messages: reader.messages, ending: reader.ending }
}

class RequestReader {
  readonly messages: Message[] = []
  readonly #checksPaths: boolean
  readonly #heads = new HeadBuffer(defaultLimits.headBytes)
  #head: RequestHead | null = null
  #body: CollectedBody | null = null
  #over: Ended | null = null

  constructor(checksPaths: boolean) {
    this.#checksPaths = checksPaths
  }

  get ending(): Ended {
    if (this.#over !== null) return this.#over
    if (this.#body !== null) return { is: 'incomplete', inBody: true }
    return this.#heads.isPartial ? { is: 'incomplete', inBody: false } : { is: 'open' }
  }

  take(piece: Buffer): void {
    let from = 0
    try {
      while (this.#over === null && from < piece.length) {
        from = this.#body === null ? this.#takeHead(piece, from) : this.#takeBody(this.#body, piece, from)
      }
    } catch (thrown) {
      if (!(thrown instanceof FailureClass)) throw thrown
      this.#over = { is: 'refused', status: thrown.status, inBody: this.#body !== null }
    }
  }

  #takeHead(piece: Buffer, from: number): number {
    const heads = this.#heads
    const found = heads.take(piece, from)
    if (found === Found.incomplete) return piece.length
    if (found === Found.malformed) throw new FailureClass('malformed-request')
    if (found === Found.tooLarge) {
      const lineEnd = heads.bytes.indexOf('\r\n', heads.start)
      const lineBytes = (lineEnd === -1 ? heads.end : lineEnd) - heads.start
      throw new FailureClass(lineBytes > defaultLimits.targetBytes ? 'target-too-long' : 'headers-too-large')
    }
    const { bytes, start, end } = heads
    heads.reset()
    const head = decodeRequestHead(bytes, start, end, defaultLimits)
    if (this.#checksPaths && head.target !== '*') {
      const path = readPath(head.target, strictPaths)
      if (!path.isSafe) throw new FailureClass(path.code)
    }
    this.#head = head
    const next = piece.length - (bytes.length - end)
    if (head.isChunked || head.contentLength > 0) {
      this.#body = new CollectedBody(head.isChunked ? Framing.chunked : Framing.length, head.contentLength)
    } else this.#finish(head, Buffer.alloc(0), [])
    return next
  }

  #takeBody(body: CollectedBody, piece: Buffer, from: number): number {
    const end = body.read(piece, from)
    if (body.isComplete && this.#head !== null) this.#finish(this.#head, body.content, body.trailers)
    return end
  }

  #finish(head: RequestHead, body: Buffer, trailers: Pairs): void {
    this.#body = null
    const host = head.hostCount === 0 ? null : head.host
    const headers = [...head.headers].filter(([name]) => name.toLowerCase() !== 'host')
    this.messages.push({ method: head.method, target: head.target, host, headers, body, trailers })
    if (!head.keepsAlive) this.#over = { is: 'closed' }
  }
}

/** An IncomingBody that is read at once into memory. */
class CollectedBody implements IncomingBodyOwner {
  isComplete = false
  trailers: Pairs = []
  readonly #chunks: Buffer[] = []
  readonly #incoming: IncomingBody

  constructor(framing: (typeof Framing)[keyof typeof Framing], length: number) {
    this.#incoming = new IncomingBody(this, framing, length, false)
    this.#incoming.start({
      write: chunk => {
        this.#chunks.push(chunk)
        return true
      },
      end: trailers => {
        this.isComplete = true
        this.trailers = trailers === null ? [] : [...trailers]
      },
      fail: () => {},
    })
  }

  get content(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  read(chunk: Buffer, from: number): number {
    return this.#incoming.read(chunk, from)
  }

  connectionEnded(): boolean {
    return this.#incoming.connectionEnded()
  }

  pauseReading(): void {}
  resumeReading(): void {}
  bodyWanted(): void {}
  bodyReceived(): void {}
  bodyCancelled(): void {}

  malformedBody(problem: string): Failure {
    return new FailureClass('malformed-request', { detail: problem })
  }
}

export interface UnderstoodReply {
  readonly is: 'whole' | 'refused' | 'cut' | 'incomplete'
  readonly inBody: boolean
  readonly status: number
  readonly reason: string
  readonly headers: Pairs
  readonly body: Buffer
  readonly trailers: Pairs
  readonly interim: readonly number[]
  /** Bytes behind the end of the reply. */
  readonly rest: number
  /** Keep-alive was agreed, and nothing stood behind the reply. */
  readonly isReusable: boolean
}

/** The reply to one request of this method; `fin` says that the upstream closed behind the last piece. */
export function understandReply(pieces: readonly Buffer[], method: string, fin: boolean): UnderstoodReply {
  const reader = new ReplyReader(method)
  for (const piece of pieces) reader.take(piece)
  if (fin) reader.ended()
  return reader.result()
}

class ReplyReader {
  readonly #method: string
  readonly #heads = new HeadBuffer(defaultLimits.headBytes, 'reply')
  readonly #interim: number[] = []
  #head: ReplyHead | null = null
  #body: CollectedBody | null = null
  #is: UnderstoodReply['is'] = 'incomplete'
  #isReusable = false
  #rest = 0

  constructor(method: string) {
    this.#method = method
  }

  take(piece: Buffer): void {
    let from = 0
    try {
      while (from < piece.length && this.#is === 'incomplete') {
        from = this.#body === null ? this.#takeHead(piece, from) : this.#takeBody(this.#body, piece, from)
      }
    } catch (thrown) {
      if (!(thrown instanceof FailureClass)) throw thrown
      this.#is = this.#body === null ? 'refused' : 'cut'
    }
    this.#rest += piece.length - from
    if (from < piece.length) this.#isReusable = false
  }

  ended(): void {
    this.#isReusable = false
    if (this.#is !== 'incomplete') return
    if (this.#body === null) this.#is = 'refused'
    else this.#is = this.#body.connectionEnded() ? 'whole' : 'cut'
  }

  result(): UnderstoodReply {
    const head = this.#is === 'refused' ? null : this.#head
    return {
      is: this.#is,
      inBody: this.#body !== null,
      status: head?.status ?? 0,
      reason: head?.reason ?? '',
      headers: head === null ? [] : [...head.headers],
      body: this.#is === 'whole' ? (this.#body?.content ?? Buffer.alloc(0)) : Buffer.alloc(0),
      trailers: this.#is === 'whole' ? (this.#body?.trailers ?? []) : [],
      interim: this.#interim,
      rest: this.#is === 'whole' ? this.#rest : 0,
      isReusable: this.#isReusable,
    }
  }

  #takeHead(piece: Buffer, from: number): number {
    const heads = this.#heads
    const found = heads.take(piece, from)
    if (found === Found.incomplete) return piece.length
    if (found !== Found.complete) throw new FailureClass('upstream-malformed-reply')
    const { bytes, start, end } = heads
    heads.reset()
    const head = decodeReplyHead(bytes, start, end, defaultLimits)
    const next = piece.length - (bytes.length - end)
    if (head.status < 200) {
      if (head.status !== 100) this.#interim.push(head.status)
      return next
    }
    this.#head = head
    const framing = replyFraming(head, this.#method)
    this.#isReusable = head.keepsAlive && framing !== Framing.untilClose
    if (framing === Framing.none) this.#is = 'whole'
    else this.#body = new CollectedBody(framing, head.contentLength)
    return next
  }

  #takeBody(body: CollectedBody, piece: Buffer, from: number): number {
    const end = body.read(piece, from)
    if (body.isComplete) this.#is = 'whole'
    return end
  }
}

/** The bytes in two pieces, at every boundary. */
export function* splits(bytes: Buffer): Generator<[Buffer, Buffer]> {
  for (let at = 1; at < bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)]
}

/** The bytes one by one. */
export function singles(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
}
