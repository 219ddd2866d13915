// The store of consumers over one SQLite file.

import { type ConsumerDraft, type ConsumerStore, denialsMax, type Plan, StoreRefusal } from '../../core/consumers.ts'
import { createApplications } from './applications.ts'
import { Connection } from './connection.ts'
import { createCredentials } from './credentials.ts'
import { consumerOf, denialOf, planOf, type Row, text } from './rows.ts'

export interface SqliteStoreOptions {
  /** Of the file; made where there is none. */
  readonly path: string
  /** Milliseconds since the Unix epoch. */
  readonly wall: () => number
  /** Such as `randomBytes` of node:crypto. */
  readonly bytes: (count: number) => Uint8Array
}

/** Makes ids such as `con_01ab…`: 20 characters, 100 bits of chance. */
export type MakeId = (prefix: 'con' | 'app' | 'cre') => string

/** What the parts of the store have in common. */
export interface StoreParts {
  readonly connection: Connection
  readonly wall: () => number
  readonly makeId: MakeId
  /** The row of a consumer. @throws StoreRefusal where there is none. */
  readonly consumerRow: (nameOrId: string) => Row
}

/** @throws DatabaseRefused for a file that cannot be used. */
export function createSqliteStore({ path, wall, bytes }: SqliteStoreOptions): ConsumerStore {
  const connection = new Connection(path)
  const parts: StoreParts = {
    connection,
    wall,
    makeId: prefix => `${prefix}_${idText(bytes(20))}`,
    consumerRow(nameOrId) {
      const row = connection.get(`${selectConsumer} WHERE id = ? OR name = ?`, nameOrId, nameOrId)
      if (row !== undefined) return row
      throw new StoreRefusal('unknown', `there is no consumer \`${nameOrId}\``, 'consumer')
    },
  }
  return {
    ...createConsumers(parts),
    ...createApplications(parts),
    ...createCredentials(parts),
    ...createPlans(parts),
    ...createDenials(parts),
    async used(times) {
      connection.transaction(() => {
        for (const [id, usedMs] of times) {
          connection.run(
            'INSERT INTO uses VALUES (?, ?) ON CONFLICT DO UPDATE SET used_ms = max(used_ms, excluded.used_ms)',
            id,
            usedMs,
          )
        }
      })
    },
    close: () => connection.close(),
  }
}

const selectConsumer = 'SELECT * FROM consumers'

type ConsumerPart = Pick<
  ConsumerStore,
  'createConsumer' | 'consumer' | 'consumers' | 'updateConsumer' | 'removeConsumer'
>

function createConsumers({ connection, makeId, consumerRow }: StoreParts): ConsumerPart {
  const rows = ofConsumers(connection)
  return {
    async createConsumer(draft) {
      return connection.transaction(() => {
        rows.refuseTaken(draft.name)
        const id = makeId('con')
        connection.run(
          'INSERT INTO consumers (id, name, groups, labels, plan, limits) VALUES (?, ?, ?, ?, ?, ?)',
          id,
          ...consumerValues(draft),
        )
        for (const subject of [id, draft.name]) connection.changed('consumer', subject)
        return { ...draft, id }
      })
    },
    async consumer(nameOrId) {
      const row = connection.get(`${selectConsumer} WHERE id = ? OR name = ?`, nameOrId, nameOrId)
      return row === undefined ? null : consumerOf(row)
    },
    async consumers(page) {
      return connection.page(`${selectConsumer} WHERE true`, [], page, consumerOf)
    },
    async updateConsumer(nameOrId, patch) {
      return connection.transaction(() => {
        const row = consumerRow(nameOrId)
        const consumer = { ...consumerOf(row), ...patch }
        if (consumer.name !== row['name']) rows.refuseTaken(consumer.name)
        connection.run(
          'UPDATE consumers SET name = ?, groups = ?, labels = ?, plan = ?, limits = ? WHERE seq = ?',
          ...consumerValues(consumer),
          row['seq'] ?? null,
        )
        rows.changed(row, consumer.name)
        return consumer
      })
    },
    async removeConsumer(nameOrId) {
      connection.transaction(() => {
        const row = consumerRow(nameOrId)
        const seq = row['seq'] ?? null
        rows.changed(row, '')
        connection.run('DELETE FROM uses WHERE credential IN (SELECT id FROM credentials WHERE consumer = ?)', seq)
        connection.run('DELETE FROM consumers WHERE seq = ?', seq)
      })
    },
  }
}

function ofConsumers(connection: Connection) {
  return {
    refuseTaken(name: string): void {
      if (connection.get(`${selectConsumer} WHERE name = ?`, name) === undefined) return
      throw new StoreRefusal('exists', `there is a consumer \`${name}\` already`, 'name', 'Choose another name.')
    },
    /** `name` is the new one, empty where the consumer goes. */
    changed(row: Row, name: string): void {
      for (const subject of new Set([text(row['id']), text(row['name']), name])) connection.changed('consumer', subject)
      const query = 'SELECT kind, lookup FROM credentials WHERE consumer = ? LIMIT 1001'
      connection.changedCredentials(connection.all(query, row['seq'] ?? null))
    },
  }
}

function consumerValues({ name, groups, labels, plan, limits }: ConsumerDraft): string[] {
  return [name, JSON.stringify(groups), JSON.stringify(labels), plan, JSON.stringify(limits)]
}

type PlanPart = Pick<ConsumerStore, 'plans' | 'createPlan' | 'updatePlan' | 'removePlan'>

function createPlans({ connection }: StoreParts): PlanPart {
  const exists = (name: string) => connection.get('SELECT 1 FROM plans WHERE name = ?', name) !== undefined
  const refuseUnknown = (name: string) => {
    if (!exists(name)) throw new StoreRefusal('unknown', `there is no plan \`${name}\``, 'plan')
  }
  const put = ({ name, limits }: Plan): Plan => {
    connection.run('INSERT OR REPLACE INTO plans VALUES (?, ?)', name, JSON.stringify(limits))
    // Any number of consumers may have it.
    connection.changed('all')
    return { name, limits }
  }
  return {
    async plans() {
      return connection.all('SELECT * FROM plans ORDER BY name').map(planOf)
    },
    async createPlan(plan) {
      return connection.transaction(() => {
        if (!exists(plan.name)) return put(plan)
        throw new StoreRefusal('exists', `there is a plan \`${plan.name}\` already`, 'name', 'Choose another name.')
      })
    },
    async updatePlan(plan) {
      return connection.transaction(() => {
        refuseUnknown(plan.name)
        return put(plan)
      })
    },
    async removePlan(name) {
      connection.transaction(() => {
        refuseUnknown(name)
        const user = connection.get('SELECT name FROM consumers WHERE plan = ? LIMIT 1', name)
        if (user !== undefined) {
          const message = `the consumer \`${text(user['name'])}\` has the plan \`${name}\``
          throw new StoreRefusal('conflict', message, 'plan', 'Give its consumers another plan first.')
        }
        connection.run('DELETE FROM plans WHERE name = ?', name)
      })
    },
  }
}

type DenialPart = Pick<ConsumerStore, 'denialLists' | 'denials' | 'deny' | 'allow'>

function createDenials({ connection, wall }: StoreParts): DenialPart {
  return {
    async denialLists() {
      const rows = connection.all('SELECT list, count(*) AS count FROM denials GROUP BY list ORDER BY list')
      return rows.map(row => ({ list: text(row['list']), count: Number(row['count']) }))
    },
    async denials(list, page) {
      return connection.page('SELECT * FROM denials WHERE list = ?', [list], page, denialOf)
    },
    async deny(list, value, note) {
      connection.transaction(() => {
        if (Number(connection.get('SELECT count(*) AS count FROM denials')?.['count']) >= denialsMax) {
          throw new StoreRefusal('full', `there are ${denialsMax} denials already`, '', 'Remove some of them first.')
        }
        connection.run(
          'INSERT INTO denials (list, value, note, created_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET note = excluded.note',
          list,
          value,
          note,
          wall(),
        )
        connection.changed('denials')
      })
    },
    async allow(list, value) {
      connection.transaction(() => {
        if (connection.run('DELETE FROM denials WHERE list = ? AND value = ?', list, value) === 0) {
          throw new StoreRefusal('unknown', `\`${value}\` is not on the list \`${list}\``, 'value')
        }
        connection.changed('denials')
      })
    },
  }
}

/** Five bits of each byte, without letters that look alike. */
function idText(bytes: Uint8Array): string {
  return Array.from(bytes, byte => '0123456789abcdefghjkmnpqrstvwxyz'[byte & 31]).join('')
}
