// Each limit counts in a memory of its own, so that whoever fills that of one limit leaves all others alone. The main thread makes
// the memories, because all workers need the same; a worker says which it needs when it has compiled a config.

import { halfSipHash } from '../core/half-sip-hash.ts'
import { LimitCells } from './limit-cells.ts'
import {
  carryOver,
  createLimitMemory,
  type LimitMemory,
  type LimitMemoryOptions,
  releaseLimits,
} from './limit-memory.ts'

/** How many keys each limit counts at once, by its scope. */
export type WantedTables = ReadonlyMap<string, number>
/** The memory of each limit, by its scope. */
export type GivenTables = ReadonlyMap<string, LimitMemory>

/** What scopes begin with whose rows hold permits that were booked in a file: two copies of one could both be spent. */
export const bookedPrefix = 'durable '

/** The memory of one limit in one worker: there from when the config that wanted it is in force. */
export class LimitTable {
  #cells: LimitCells | null = null
  #memory: LimitMemory | null = null
  /** Two words of 32 bits that nobody outside knows. */
  #seed0 = 0
  #seed1 = 0
  readonly #hash = new Int32Array(2)

  static of(memory: LimitMemory, worker: number): LimitTable {
    const table = new LimitTable()
    table.bind(memory, worker)
    return table
  }

  bind(memory: LimitMemory, worker: number): void {
    if (this.#memory?.buffer === memory.buffer) return
    this.#memory = memory
    this.#cells = new LimitCells(memory, worker)
    ;[this.#seed0, this.#seed1] = memory.seed
  }

  /** Whether a config that wants it is in force. */
  get isBound(): boolean {
    return this.#cells !== null
  }

  get cells(): LimitCells {
    if (this.#cells === null) throw new Error('a limit counts before its config is in force')
    return this.#cells
  }

  /** As `LimitCells.open`, by a keyed hash. `shape` keeps a row from being read by rules of another kind. */
  open(key: string, shape: number, nowMs: number): number {
    const hash = this.#hash
    halfSipHash(key, this.#seed0, this.#seed1, hash)
    // Two zeros mark an entry that never had a key.
    return this.cells.open(hash[0] || 1, (hash[1] as number) ^ Math.imul(shape, 0x9e3779b1), nowMs)
  }

  /** As `LimitCells.makeRoom`, and then as `open`. */
  openAnyway(key: string, shape: number, nowMs: number): number {
    halfSipHash(key, this.#seed0, this.#seed1, this.#hash)
    this.cells.makeRoom((this.#hash[1] as number) ^ Math.imul(shape, 0x9e3779b1))
    return this.open(key, shape, nowMs)
  }
}

/** Those of one worker. */
export class LimitTables {
  readonly #worker: number
  #tables = new Map<string, LimitTable>()
  #wanted = new Map<string, number>()

  constructor(worker: number) {
    this.#worker = worker
  }

  /** What was asked for since `begin`. */
  get wanted(): WantedTables {
    return this.#wanted
  }

  /** Another config is going to be compiled: tables of one that did not come into force are forgotten. */
  begin(): void {
    this.#wanted = new Map()
    for (const [scope, table] of this.#tables) if (!table.isBound) this.#tables.delete(scope)
  }

  /** The table of a scope, which lives on over configs that ask for it. Where it is asked for twice, the larger has it. */
  of(scope: string, keys: number): LimitTable {
    this.#wanted.set(scope, Math.max(keys, this.#wanted.get(scope) ?? 0))
    let table = this.#tables.get(scope)
    if (table === undefined) this.#tables.set(scope, (table = new LimitTable()))
    return table
  }

  /** The config that was compiled comes into force, with these memories. */
  adopt(given: GivenTables): void {
    const tables = new Map<string, LimitTable>()
    for (const [scope, memory] of given) {
      const table = this.#tables.get(scope) ?? new LimitTable()
      table.bind(memory, this.#worker)
      tables.set(scope, table)
    }
    this.#tables = tables
  }
}

/** Those of all workers, in the main thread. */
export class LimitMemories {
  readonly #options: Omit<LimitMemoryOptions, 'keys'>
  #given = new Map<string, LimitMemory>()
  /** Those that the last reload took away: calls under way still count there. */
  #before: LimitMemory[] = []

  constructor(options: Omit<LimitMemoryOptions, 'keys'>) {
    this.#options = options
  }

  /**
   * The memories that workers want: those that are there as they are, where they have the right size, else new ones with what
   * was counted in these. Nothing is kept yet.
   *
   * @throws Error where there is not so much memory.
   */
  for(wanted: Iterable<WantedTables>): GivenTables {
    const given = new Map<string, LimitMemory>()
    for (const [scope, keys] of [...wanted].flatMap(tables => [...tables])) {
      const known = given.get(scope) ?? this.#given.get(scope)
      given.set(scope, known?.keys === keys ? known : this.#make(scope, keys, known))
    }
    return given
  }

  /** These are in force. */
  keep(given: GivenTables): void {
    const kept = new Set(given.values())
    this.#before = [...this.#given.values()].filter(memory => !kept.has(memory))
    this.#given = new Map(given)
  }

  /** A worker died: gives back what it had. */
  release(worker: number): void {
    for (const memory of [...this.#given.values(), ...this.#before]) releaseLimits(memory, worker)
  }

  /** Of another size than before: what was counted counts on, or a signature that was used up would be good once more. */
  #make(scope: string, keys: number, before: LimitMemory | undefined): LimitMemory {
    try {
      const memory = createLimitMemory({ ...this.#options, keys })
      if (before !== undefined && !scope.startsWith(bookedPrefix)) carryOver(before, memory)
      return memory
    } catch (cause) {
      throw new Error(`there is no memory for the ${keys} callers of the limit ${scope}; lower its \`callers\``, {
        cause,
      })
    }
  }
}
