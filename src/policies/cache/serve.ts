// A stored reply as the answer to a call: whole, a part, or only the word that nothing changed.

import { Body, type BodySource, type Sink } from '../../core/body.ts'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import type { Asked } from './asked.ts'
import { isNotModified, rangeIn } from './conditions.ts'
import { ageOf, type Lease, type Stored } from './stored.ts'

/** Who must know which bodies are being sent: what makes room for others meanwhile still takes memory. */
export interface Lender {
  lend(lease: Lease, bytes: number): void
  takeBack(lease: Lease, bytes: number): void
}

/** Hot path: for a plain question it copies the fields, adds the age, and points at the bytes. */
export function serve(stored: Stored, asked: Asked, method: string, nowMs: number, lender: Lender): Reply {
  const headers = stored.headers.clone()
  headers.list.push('Age', 'age', String(Math.floor(ageOf(stored, nowMs) / 1000)))
  if (!asked.isPlain && stored.status === 200) {
    if (isNotModified(asked, headers, stored.storedWallMs)) return notModified(headers)
    if (asked.range !== '' && method === 'GET') {
      const part = servePart(stored, asked, headers, lender)
      if (part !== null) return part
    }
  }
  const reply = new Reply(stored.status, headers, bodyOf(stored.body, stored, lender))
  reply.reason = stored.reason
  return reply
}

/** RFC 9110 §15.4.5: what describes the content is left out, for the client has it. */
export function notModified(headers: Headers): Reply {
  const kept = new Headers()
  const hasTag = headers.has('etag')
  for (let i = 0; i < headers.list.length; i += 3) {
    const key = headers.list[i + 1] as string
    const isOfContent = key.startsWith('content-') && key !== 'content-location'
    if (isOfContent || (key === 'last-modified' && hasTag)) continue
    kept.list.push(headers.list[i] as string, key, headers.list[i + 2] as string)
  }
  return new Reply(304, kept, Body.empty)
}

function servePart(stored: Stored, asked: Asked, headers: Headers, lender: Lender): Reply | null {
  const { body } = stored
  const range = rangeIn(asked, headers, body.length, stored.storedWallMs)
  if (range === null) return null
  if (range === 'unsatisfiable') {
    const reply = Reply.empty(416)
    reply.headers.add('content-range', `bytes */${body.length}`)
    return reply
  }
  const [from, to] = range
  // Digests of the content are those of the whole (RFC 9530 §2); Repr-Digest is meant to be.
  headers.delete('content-digest')
  headers.delete('content-md5')
  headers.set('content-range', `bytes ${from}-${to - 1}/${body.length}`)
  return new Reply(206, headers, bodyOf(body.subarray(from, to), stored, lender))
}

/** What a sink is given at once. */
export const pieceBytes = 65_536

/** The bytes belong to the store, and no sink writes into what it is given. Long ones go piece by piece, at the pace of the sink. */
function bodyOf(bytes: Buffer, stored: Stored, lender: Lender): Body {
  return bytes.length <= pieceBytes ? Body.of(bytes) : new Body(bytes.length, new PiecesSource(bytes, stored, lender))
}

class PiecesSource implements BodySource {
  readonly #bytes: Buffer
  readonly #stored: Stored
  readonly #lender: Lender
  #at = 0
  #sink: Sink | null = null
  #isPushing = false

  constructor(bytes: Buffer, stored: Stored, lender: Lender) {
    this.#bytes = bytes
    this.#stored = stored
    this.#lender = lender
  }

  start(sink: Sink): void {
    this.#sink = sink
    this.#lender.lend(this.#stored.lease, this.#stored.body.length)
    this.resume()
  }

  resume(): void {
    // A sink may ask for more while it is being given some.
    if (this.#isPushing) return
    this.#isPushing = true
    let hasRoom = true
    while (hasRoom && this.#sink !== null && this.#at < this.#bytes.length) {
      const piece = this.#bytes.subarray(this.#at, this.#at + pieceBytes)
      this.#at += piece.length
      hasRoom = this.#sink.write(piece)
    }
    this.#isPushing = false
    if (this.#at >= this.#bytes.length) this.#finish()?.end(null)
  }

  cancel(): void {
    this.#finish()
  }

  /** Gives the bytes back; returns who took them, once. */
  #finish(): Sink | null {
    const sink = this.#sink
    this.#sink = null
    if (sink !== null) this.#lender.takeBack(this.#stored.lease, this.#stored.body.length)
    return sink
  }
}
