// How many new connections a listener begins to serve per second; what comes faster waits its turn, unread.

import type { Socket } from 'node:net'
import type { Clock, Counter, Deadlines, Timed } from '../core/ports.ts'

export interface PacePorts {
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** Counts the connections that had to wait. */
  readonly waits: Counter
  /** Counts those that waited in vain. */
  readonly losses: Counter
}

export interface PaceSettings {
  readonly perMs: number
  /** Longest wait; then the connection is closed. */
  readonly waitMs: number
}

/** What may come at once is what is allowed in so long a time, a beat of the deadlines. */
const burstMs = 100

interface Waiting {
  readonly socket: Socket
  readonly sinceMs: number
  readonly go: () => void
}

/**
 * Sockets come paused. Node takes connections from the system whether or not they are wanted, one in each turn of the event loop;
 * so they wait here, in their order, and cost a descriptor and a few kB each. `limits.connections` bounds them too.
 */
export class Pace implements Timed {
  dueMs = Infinity
  slot = -1
  readonly #ports: PacePorts
  #settings: PaceSettings
  #tokens: number
  #filledMs: number
  #waiting: Waiting[] = []

  constructor(settings: PaceSettings, ports: PacePorts) {
    this.#ports = ports
    this.#settings = settings
    this.#tokens = this.#burst
    this.#filledMs = ports.clock.now()
    ports.deadlines.add(this)
  }

  get waiting(): number {
    return this.#waiting.length
  }

  adopt(settings: PaceSettings): void {
    this.#settings = settings
  }

  /** Calls back now, or when it is this connection's turn. */
  enter(socket: Socket, go: () => void): void {
    const nowMs = this.#ports.clock.now()
    this.#fill(nowMs)
    if (this.#waiting.length === 0 && this.#take()) return go()
    this.#ports.waits.add(1)
    this.#waiting.push({ socket, sinceMs: nowMs, go })
    this.dueMs = 0
  }

  due(nowMs: number): void {
    this.#fill(nowMs)
    let at = 0
    for (; at < this.#waiting.length; at++) {
      const { socket, sinceMs, go } = this.#waiting[at] as Waiting
      if (socket.destroyed) continue
      if (nowMs - sinceMs > this.#settings.waitMs) {
        this.#ports.losses.add(1)
        socket.destroy()
      } else if (this.#take()) go()
      else break
    }
    this.#waiting = this.#waiting.slice(at)
    if (this.#waiting.length === 0) this.dueMs = Infinity
  }

  close(): void {
    this.#ports.deadlines.remove(this)
    for (const { socket } of this.#waiting) socket.destroy()
    this.#waiting = []
  }

  /** At least one, however slow the pace. */
  get #burst(): number {
    return Math.max(1, this.#settings.perMs * burstMs)
  }

  #fill(nowMs: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#filledMs) * this.#settings.perMs)
    this.#filledMs = nowMs
  }

  #take(): boolean {
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
