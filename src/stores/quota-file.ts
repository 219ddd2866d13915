// The file of quotas: how many permits of each period were handed out, so that no crash lets a caller have more.

import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { LimitRule } from '../core/limits.ts'
import { makeFolder } from './make-folder.ts'

/** A block is this share of what is left, within these bounds: the file is written seldom, and the last call still passes. */
const blockShare = 1 / 32
const blockMax = 1000
const busyMsMax = 1_000
const dayMs = 86_400_000
/** Rows of periods that are over which go with each booking: faster than they come, and no booking waits for many. */
const endedPerBooking = 4

/** One rule of one key. */
export interface QuotaKey {
  readonly scope: string
  readonly key: string
  /** Which of the key's rules. */
  readonly index: number
}

/** What a key had booked. */
export interface Booking {
  readonly startMs: number
  /** Booked in all. */
  readonly taken: number
  readonly granted: number
}

/** One thread's connection to the file. Owns it until `close`. */
export class QuotaFile {
  readonly #database: DatabaseSync
  readonly #read: StatementSync
  readonly #write: StatementSync
  readonly #unbook: StatementSync
  readonly #forget: StatementSync
  readonly #wall: () => number

  /** @throws Error where the file cannot be had. `folder` is made where it is not there. */
  constructor(folder: string, wall: () => number) {
    this.#wall = wall
    this.#database = openFile(join(folder, 'limits.db'), folder, wall())
    this.#read = this.#database.prepare('SELECT period, taken FROM counts WHERE scope = ? AND key = ? AND rule = ?')
    this.#write = this.#database.prepare('INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?, ?)')
    this.#unbook = this.#database.prepare(
      'UPDATE counts SET taken = max(0, taken - ?) WHERE scope = ? AND key = ? AND rule = ? AND period = ?',
    )
    this.#forget = this.#database.prepare(
      `DELETE FROM counts WHERE (scope, key, rule) IN (SELECT scope, key, rule FROM counts WHERE ends < ? LIMIT ${endedPerBooking})`,
    )
  }

  /** Books a block with what a call is short of; nothing where so much is not left. @throws Error where it cannot be written. */
  book(key: QuotaKey, rule: LimitRule, short: number): Booking {
    return this.#book(key, rule, left => {
      const block = Math.min(left, Math.max(short, Math.min(blockMax, Math.floor(left * blockShare))))
      return block >= short ? block : 0
    })
  }

  /** Books so much whatever is left. @throws Error where it cannot be written. */
  charge(key: QuotaKey, rule: LimitRule, amount: number): Booking {
    return this.#book(key, rule, () => amount)
  }

  /** Gives back what was booked of a period and not used. */
  unbook({ scope, key, index }: QuotaKey, startMs: number, amount: number): void {
    this.#unbook.run(amount, scope, key, index, startMs)
  }

  close(): void {
    this.#database.close()
  }

  #book({ scope, key, index }: QuotaKey, rule: LimitRule, grant: (left: number) => number): Booking {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const found = this.#read.get(scope, key, index)
      const period = Number(found?.['period'] ?? 0)
      // A period older than the one in the file, as after a step of the clock, is counted with that one.
      const taken = period >= rule.startMs ? Number(found?.['taken'] ?? 0) : 0
      const startMs = Math.max(period, rule.startMs)
      const granted = grant(rule.limit - taken)
      if (granted > 0) {
        this.#write.run(scope, key, index, startMs, startMs + rule.windowMs, taken + granted)
        this.#forget.run(this.#wall() - dayMs)
      }
      this.#database.exec('COMMIT')
      return { startMs, taken: taken + granted, granted }
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }
}

/** Several threads may make the file at the same time; changing to a write-ahead log does not wait by itself. */
function openFile(path: string, folder: string, wallMs: number): DatabaseSync {
  makeFolder(folder)
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let tries = 1; ; tries++) {
    const database = new DatabaseSync(path, { timeout: busyMsMax })
    try {
      // A killed process loses nothing that was written; only the power may take the last blocks with it.
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
      database.exec(
        'CREATE TABLE IF NOT EXISTS counts (scope TEXT, key TEXT, rule INTEGER, period INTEGER, ends INTEGER, taken INTEGER, PRIMARY KEY (scope, key, rule)) WITHOUT ROWID',
      )
      database.exec('CREATE INDEX IF NOT EXISTS ended ON counts (ends)')
      database.prepare('DELETE FROM counts WHERE ends < ?').run(wallMs - dayMs)
      return database
    } catch (error) {
      database.close()
      if (tries >= 50) throw error
      Atomics.wait(pause, 0, 0, 20)
    }
  }
}
