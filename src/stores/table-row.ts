// A row of numbers that all threads share, in a table of limits with one key.

import type { SharedRow } from '../core/shared-row.ts'
import { noRow } from './limit-cells.ts'
import type { LimitTable } from './limit-tables.ts'
import type { SharedTime } from './local-limits.ts'

/** What stands before a row is until when it is worth something; this one always is. */
const always = 1

export class TableRow implements SharedRow {
  readonly #table: LimitTable
  readonly #time: SharedTime

  constructor(table: LimitTable, time: SharedTime) {
    this.#table = table
    this.#time = time
  }

  get numbers(): Float64Array {
    return this.#table.cells.rows
  }

  open(): number {
    if (!this.#table.isBound) return -1
    const { cells } = this.#table
    const row = cells.open(1, 0, 0)
    if (row === noRow) return -1
    cells.rows[row - 1] = always
    return row
  }

  close(): void {
    this.#table.cells.close()
  }

  now(): number {
    return this.#time.now()
  }
}
