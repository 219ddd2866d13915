// One writing connection: statements prepared once, transactions, and the log of what workers must forget.

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { Page, PageRequest } from '../../core/consumers.ts'
import { openForWriting } from './database.ts'
import { type Row, text } from './rows.ts'

/** Kept in the log of changes. Workers look ten times a second; one that misses more forgets everything. */
const changesKept = 20_000
/** A change of more credentials than this is logged as a change of everything. */
const namedMax = 1_000

export class Connection {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  /** @throws DatabaseRefused */
  constructor(path: string) {
    this.#database = openForWriting(path)
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepared(sql).get(...values)
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepared(sql).all(...values)
  }

  /** Returns the number of rows it changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepared(sql).run(...values).changes)
  }

  /** Everything in it happens, or nothing. */
  transaction<T>(change: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const result = change()
      this.#database.exec('COMMIT')
      return result
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  /** A stretch of rows that have a `seq`. `from` ends in a condition. */
  page<T>(
    from: string,
    values: readonly SQLInputValue[],
    { limit, after }: PageRequest,
    read: (row: Row) => T,
  ): Page<T> {
    const rows = this.all(`${from} AND seq > ? ORDER BY seq LIMIT ?`, ...values, Number(after) || 0, limit + 1)
    const items = rows.slice(0, limit)
    return { items: items.map(read), next: rows.length > limit ? String(items.at(-1)?.['seq']) : null }
  }

  /** Logs that workers must forget something. Inside the transaction of the change itself. */
  changed(topic: 'all' | 'credential' | 'consumer' | 'denials', subject = ''): void {
    this.run('INSERT INTO changes (topic, subject) VALUES (?, ?)', topic, subject)
    this.run('DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM changes) - ?', changesKept)
  }

  /** Logs credentials: as many as a query gives the `kind` and `lookup` of. */
  changedCredentials(rows: readonly Row[]): void {
    if (rows.length > namedMax) return this.changed('all')
    for (const row of rows) this.changed('credential', `${text(row['kind'])}:${text(row['lookup'])}`)
  }

  close(): void {
    this.#database.close()
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}
