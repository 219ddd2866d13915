// What all threads know of the targets of one upstream: a row per address in shared memory, whoever resolved its name.
//
// A worker claims a row for each endpoint it opens and stamps it while it has it; rows that nobody stamps any more are free for
// others. So no thread has to give anything back, however it ends. Workers count and eject, the main thread checks and takes
// back; whoever changes the flags of a row adds 1 to the version, which is all that workers look at for each call.

import { halfSipHash } from '../../core/half-sip-hash.ts'

/** Addresses of one upstream that can be watched; an endpoint beyond gets calls, and nobody watches it. */
export const rowsMax = 256

/** Survives structured cloning; the buffer is shared. */
export interface TargetMemory {
  /** Another one for each memory of this process. */
  readonly id: number
  readonly buffer: SharedArrayBuffer
  /** When it was made, by the clock that all threads share, milliseconds. */
  readonly bornMs: number
}

/** A clock that runs alike in all threads, milliseconds. */
export interface SharedClock {
  now(): number
}

/** Why a target gets no calls, bits of `Cell.flags`. */
export const Flag = { unhealthy: 1, ejected: 2 } as const

/** What stands in the cells of a row. Times are ticks since the memory was made. */
export const Cell = {
  /** Hash of the endpoint's id; two zeros in a row that never had one. */
  low: 0,
  high: 1,
  /** Grows by 2 with each claim; odd while the row is being written. */
  generation: 2,
  /** When a worker last had it. */
  stamp: 3,
  flags: 4,
  /** Failures since the last success. */
  consecutive: 5,
  /** Calls, and failures among them, since success rates were last compared. */
  calls: 6,
  failures: 7,
  /** How often it was ejected, less what decayed. */
  ejections: 8,
  /** When its last ejection ends, or ended. */
  ejectedUntil: 9,
  /** Why it was ejected last: an index of `ejectionReasons`. */
  reason: 10,
  /** When it came, or last came back. */
  since: 11,
} as const
export type CellNumber = (typeof Cell)[keyof typeof Cell]

export const ejectionReasons = ['consecutive', 'success-rate'] as const
export type EjectionReason = (typeof ejectionReasons)[number]

export const tickMs = 100
/** A row that nobody stamped for so long has nobody's endpoint. Workers stamp each second. */
const staleTicks = 100
/** Who has a target stamps its row each second: one that nobody had for so long was gone, and has come back. */
const awayTicks = 30
/** Until a stale row may be given to another endpoint: the main thread has let go of it by then. */
const freeTicks = 300

const rowCells = 16
const idBytes = 384
const headerCells = 16
const versionCell = 0
const lockCell = 1
/** No row from here on ever had an endpoint. */
const usedCell = 2
/** A lock is held for microseconds. One that is still held after this belongs to a thread that ended within them. */
const lockTries = 100
const lockWaitMs = 1

export function createTargetMemory(id: number, bornMs: number): TargetMemory {
  const bytes = (headerCells + rowsMax * rowCells) * 4 + rowsMax * idBytes
  return { id, buffer: new SharedArrayBuffer(bytes), bornMs }
}

/** The memory as one thread sees it. A row is named by its number. */
export class TargetTable {
  readonly cells: Int32Array
  readonly #ids: Uint8Array
  readonly #bornMs: number
  readonly #clock: SharedClock

  constructor({ buffer, bornMs }: TargetMemory, clock: SharedClock) {
    this.cells = new Int32Array(buffer, 0, headerCells + rowsMax * rowCells)
    this.#ids = new Uint8Array(buffer, this.cells.byteLength)
    this.#bornMs = bornMs
    this.#clock = clock
  }

  /** Changes with the flags of any row. Hot path: a plain read, for a call may well miss a change of this moment. */
  get version(): number {
    return this.cells[versionCell] as number
  }

  /** Ticks since the memory was made; never 0. */
  get now(): number {
    return Math.max(1, Math.floor((this.#clock.now() - this.#bornMs) / tickMs))
  }

  /** Index of a cell of a row in `cells`. */
  at(row: number, cell: CellNumber): number {
    return headerCells + row * rowCells + cell
  }

  load(row: number, cell: CellNumber): number {
    return Atomics.load(this.cells, this.at(row, cell))
  }

  store(row: number, cell: CellNumber, value: number): void {
    Atomics.store(this.cells, this.at(row, cell), value)
  }

  /** Sets flags of a row; false where they were set already. */
  raise(row: number, flag: number): boolean {
    return (Atomics.or(this.cells, this.at(row, Cell.flags), flag) & flag) !== flag
  }

  /** Takes flags of a row away; false where they were not set. */
  lower(row: number, flag: number): boolean {
    return (Atomics.and(this.cells, this.at(row, Cell.flags), ~flag) & flag) !== 0
  }

  /** Lets all workers look at the flags anew. */
  publish(): void {
    Atomics.add(this.cells, versionCell, 1)
  }

  /** The row of an endpoint, with a stamp; a new one where it has none, or one that it had before and left. -1: no room. */
  claim(id: string): number {
    const text = Buffer.from(id)
    if (text.length > idBytes - 2) return -1
    const hash = new Int32Array(2)
    halfSipHash(id, 0, 0, hash)
    // Two zeros mark a row that never had an endpoint.
    const low = hash[0] || 1
    const high = hash[1] ?? 0
    this.#lock()
    try {
      const row = this.#place(low, high)
      if (row === -1) return -1
      const isKnown = this.load(row, Cell.low) === low && this.load(row, Cell.high) === high
      if (!isKnown || this.#age(row) > staleTicks) this.#write(row, low, high, text)
      else if (this.#age(row) > awayTicks) this.store(row, Cell.since, this.now)
      this.stamp(row)
      return row
    } finally {
      Atomics.store(this.cells, lockCell, 0)
    }
  }

  /** To be called each second while a thread has the endpoint of a row. */
  stamp(row: number): void {
    this.store(row, Cell.stamp, this.now)
  }

  /** Rows that workers have now. */
  rows(): number[] {
    const rows: number[] = []
    const used = Atomics.load(this.cells, usedCell)
    for (let row = 0; row < used; row++) {
      if (this.load(row, Cell.low) !== 0 && this.#age(row) <= staleTicks) rows.push(row)
    }
    return rows
  }

  /** Whose row it is: the id of the endpoint, and a number that another claim changes. Null while it is being written. */
  owner(row: number): { readonly id: string; readonly generation: number } | null {
    const generation = this.load(row, Cell.generation)
    const from = row * idBytes
    const length = (this.#ids[from] as number) + 256 * (this.#ids[from + 1] as number)
    // A copy, as a text cannot be decoded from shared memory.
    const id = Buffer.from(this.#ids.slice(from + 2, from + 2 + length)).toString()
    return generation % 2 === 0 && generation === this.load(row, Cell.generation) ? { id, generation } : null
  }

  #age(row: number): number {
    return this.now - this.load(row, Cell.stamp)
  }

  /** Where a key stands, or could stand. */
  #place(low: number, high: number): number {
    let free = -1
    for (let row = 0; row < rowsMax; row++) {
      const known = this.load(row, Cell.low)
      if (known === low && this.load(row, Cell.high) === high) return row
      if (free === -1 && (known === 0 || this.#age(row) > freeTicks)) free = row
    }
    return free
  }

  #write(row: number, low: number, high: number, text: Buffer): void {
    const generation = this.load(row, Cell.generation) | 1
    this.store(row, Cell.generation, generation)
    for (let cell = Cell.stamp; cell < rowCells; cell++)
      Atomics.store(this.cells, headerCells + row * rowCells + cell, 0)
    this.#ids[row * idBytes] = text.length % 256
    this.#ids[row * idBytes + 1] = text.length >>> 8
    this.#ids.set(text, row * idBytes + 2)
    this.store(row, Cell.high, high)
    this.store(row, Cell.low, low)
    this.store(row, Cell.since, this.now)
    // Under the lock.
    Atomics.store(this.cells, usedCell, Math.max(row + 1, Atomics.load(this.cells, usedCell)))
    this.store(row, Cell.generation, generation + 1)
    this.publish()
  }

  #lock(): void {
    for (let tries = 0; tries < lockTries; tries++) {
      if (Atomics.compareExchange(this.cells, lockCell, 0, 1) === 0) return
      Atomics.wait(this.cells, lockCell, 1, lockWaitMs)
    }
  }
}
