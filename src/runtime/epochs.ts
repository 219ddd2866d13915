// Which runtime is in force, and when an old one is free to go: calls stay on the runtime they started on.

import type { Call } from '../core/call.ts'
import { Reply } from '../core/reply.ts'
import type { Runtime } from './compile.ts'

interface Era {
  readonly epoch: number
  readonly runtime: Runtime
  calls: number
  isOver: boolean
}

/** Owned by one worker. */
export class Epochs {
  readonly #eras = new Map<number, Era>()
  #current: Era | null = null
  #lastEpoch = 0

  /** A number for a runtime that is about to be compiled. */
  next(): number {
    return ++this.#lastEpoch
  }

  /** Runtimes that still have calls, the one in force included. */
  get size(): number {
    return this.#eras.size
  }

  /** Puts a runtime in force, between two calls. */
  swap(epoch: number, runtime: Runtime): void {
    const before = this.#current
    this.#current = { epoch, runtime, calls: 0, isOver: false }
    this.#eras.set(epoch, this.#current)
    if (before === null) return
    before.isOver = true
    this.#letGo(before)
  }

  answer(call: Call): Promise<Reply> {
    const era = this.#current
    if (era === null) return Promise.resolve(Reply.problem('gateway-draining'))
    era.calls++
    call.epoch = era.epoch
    return era.runtime.answer(call)
  }

  /** To be called once for every call that is over; those that never came to `answer` are not counted. */
  finished(call: Call): void {
    const era = this.#eras.get(call.epoch)
    if (era === undefined) return
    era.calls--
    if (era.isOver) this.#letGo(era)
  }

  #letGo(era: Era): void {
    if (era.calls > 0) return
    this.#eras.delete(era.epoch)
    era.runtime.release()
  }
}
