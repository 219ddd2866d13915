// One call's turn on a connection: its reply written as HTTP/1.1, head and first chunk in one write.

import type { Sink } from '../core/body.ts'
import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Headers } from '../core/headers.ts'
import type { Reply } from '../core/reply.ts'
import { writeBodyChunk } from '../http/body-writer.ts'
import { lastChunk } from '../http/chunked.ts'
import { fieldsText, statusLine } from '../http/encode.ts'
import type { Connection } from './connection.ts'

/** Takes the reply of one call. Owned by its connection, which forgets it when the turn is over. */
export class Turn implements Sink {
  readonly call: Call
  /** Status that went out, 0 before. */
  status = 0
  bytesOut = 0
  readonly #connection: Connection
  /** The head while it waits for the first chunk. */
  #head = ''
  #isChunked = false
  /** Bytes that the announced Content-Length still wants; -1 where none was announced. */
  #owed = -1
  #reply: Reply | null = null
  #isOver = false

  constructor(connection: Connection, call: Call) {
    this.#connection = connection
    this.call = call
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** The final reply of the call. Late ones, of a call that was answered otherwise, are thrown away. */
  reply(reply: Reply): void {
    if (this.#isOver || this.status !== 0) {
      reply.body.cancel()
      reply.tunnel?.socket.destroy()
      return
    }
    this.#reply = reply
    if (reply.status === 101 && reply.tunnel !== null) return this.#upgrade(reply)
    this.status = reply.status
    if (!hasBody(reply.status, this.call.method)) {
      this.#head = this.#headOf(reply, false)
      reply.body.cancel()
      return this.end(null)
    }
    this.#head = this.#headOf(reply, true)
    if (reply.body.isEmpty) return this.end(null)
    reply.body.pipe(this)
    if (this.#head !== '' && !this.#isOver) this.#flushHead()
  }

  write(chunk: Buffer): boolean {
    if (this.#isOver) return false
    if (chunk.length === 0) return true
    this.bytesOut += chunk.length
    if (this.#owed !== -1) {
      this.#owed -= chunk.length
      if (this.#owed < 0) {
        this.fail(new Failure('internal', { detail: 'a reply body longer than its announced length' }))
        return false
      }
    }
    return this.#send(chunk)
  }

  end(trailers: Headers | null): void {
    if (this.#isOver) return
    if (this.#owed > 0) return this.fail(new Failure('upstream-reply-cut-short'))
    const tail = this.#isChunked ? lastChunk(trailers) : ''
    const rest = this.#head + tail
    this.#head = ''
    if (rest !== '') {
      this.#connection.writes.hold()
      this.#connection.socket.write(rest, 'latin1')
    }
    this.#isOver = true
    this.#connection.turnEnded(this)
  }

  /** The body broke off behind the head: the only honest end is to cut the connection (RFC 9112 §8). */
  fail(failure: Failure): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#connection.turnBroke(this, failure)
  }

  /** The client has left or is given up: the source of the body is told. */
  cut(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#reply?.body.cancel()
    this.#reply?.tunnel?.socket.destroy()
  }

  /** The socket has room again. */
  drained(): void {
    if (!this.#isOver) this.#reply?.body.resume()
  }

  /** The breakage that the reply tells of. */
  get failure(): Failure | null {
    return this.#reply?.failure ?? null
  }

  /** The code of a reply that the gateway made itself. */
  get code(): Reply['code'] {
    return this.#reply?.code ?? null
  }

  #headOf(reply: Reply, carriesBody: boolean): string {
    const connection = this.#connection
    const { headers, body } = reply
    let head = statusLine(reply.status, reply.reason) + fieldsText(headers)
    if (!headers.has('date')) head += connection.gate.dateField()
    if (this.call.id !== '' && !headers.has('x-request-id')) head += `x-request-id: ${this.call.id}\r\n`
    if (carriesBody) head += this.#framingFields(body.length)
    else if (this.call.method === 'HEAD' && !body.isEmpty && body.length >= 0)
      head += `content-length: ${body.length}\r\n`
    return head + connection.persistenceField()
  }

  #framingFields(length: number): string {
    if (length >= 0) {
      this.#owed = length
      return `content-length: ${length}\r\n`
    }
    if (this.#connection.minor === 1) {
      this.#isChunked = true
      return 'transfer-encoding: chunked\r\n'
    }
    // HTTP/1.0 knows no other end of a body of unknown length than the end of the connection.
    this.#connection.keepsAlive = false
    return ''
  }

  #flushHead(): void {
    const head = this.#head
    this.#head = ''
    this.#connection.writes.hold()
    this.#connection.socket.write(head, 'latin1')
  }

  #send(chunk: Buffer): boolean {
    const head = this.#head
    this.#head = ''
    if (head !== '') this.#connection.writes.hold()
    return this.#connection.wrote(writeBodyChunk(this.#connection.socket, head, chunk, this.#isChunked))
  }

  #upgrade(reply: Reply): void {
    this.status = 101
    const upgrade = reply.headers.get('upgrade') ?? this.call.upgrade
    reply.headers.delete('upgrade')
    const head = `${statusLine(101, reply.reason)}${fieldsText(reply.headers)}connection: upgrade\r\nupgrade: ${upgrade}\r\n\r\n`
    this.#isOver = true
    this.#connection.turnUpgraded(this, head, reply)
  }
}

/** Whether more than a head follows (RFC 9110 §6.4.1). */
export function hasBody(status: number, method: string): boolean {
  return method !== 'HEAD' && status !== 204 && status !== 304
}
