// What all HTTP/2 connections of a worker share, so that an idle one holds next to no memory.

import type { Flushable, WriteBatch } from '../http/write-batch.ts'

/** A pen holds the frames of one turn of the event loop; when it is full, it is written out early. */
export const penBytes = 65_536
/** Pens kept for reuse. More are in use only while sockets hold them. */
const sparePensMax = 16

export class SharedMemory {
  readonly #writes: WriteBatch
  readonly #pens: Buffer[] = []
  #room: Buffer = Buffer.allocUnsafeSlow(8_192)

  constructor(writes: WriteBatch) {
    this.#writes = writes
  }

  /** A buffer to collect frames in. */
  takePen(): Buffer {
    return this.#pens.pop() ?? Buffer.allocUnsafeSlow(penBytes)
  }

  /** Gives a pen back that nobody reads any more. */
  givePen(pen: Buffer): void {
    if (this.#pens.length < sparePensMax) this.#pens.push(pen)
  }

  /** Room to work in until the next call of anything here. */
  roomFor(bytes: number): Buffer {
    if (this.#room.length < bytes) this.#room = Buffer.allocUnsafeSlow(bytes)
    return this.#room
  }

  /** Has what was collected written when this turn of the event loop ends, so that all its frames leave in one write. */
  flushSoon(outbox: Flushable): void {
    this.#writes.hold(outbox)
  }
}
