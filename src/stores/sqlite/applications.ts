// Applications in the SQLite store.

import { type ConsumerStore, StoreRefusal } from '../../core/consumers.ts'
import type { Connection } from './connection.ts'
import { applicationOf, type Row, text } from './rows.ts'
import type { StoreParts } from './store.ts'

type ApplicationPart = Pick<
  ConsumerStore,
  'createApplication' | 'application' | 'applications' | 'updateApplication' | 'removeApplication'
>

const select = `SELECT * FROM (SELECT a.*, c.id AS consumer_id FROM applications a JOIN consumers c ON c.seq = a.consumer)`

export function createApplications(parts: StoreParts): ApplicationPart {
  return { ...reading(parts), ...writing(parts) }
}

function reading({ connection, consumerRow }: StoreParts): Pick<ApplicationPart, 'application' | 'applications'> {
  return {
    async application(id) {
      const row = connection.get(`${select} WHERE id = ?`, id)
      return row === undefined ? null : applicationOf(row)
    },
    async applications(consumer, page) {
      if (consumer === '') return connection.page(`${select} WHERE true`, [], page, applicationOf)
      return connection.page(
        `${select} WHERE consumer = ?`,
        [consumerRow(consumer)['seq'] ?? null],
        page,
        applicationOf,
      )
    },
  }
}

function writing(parts: StoreParts): Omit<ApplicationPart, 'application' | 'applications'> {
  const { connection, makeId, consumerRow } = parts
  const rows = ofRows(connection)
  return {
    async createApplication({ consumer, name, labels }) {
      return connection.transaction(() => {
        const owner = consumerRow(consumer)
        rows.refuseTaken(owner['seq'], name)
        const id = makeId('app')
        connection.run(
          'INSERT INTO applications (id, consumer, name, labels) VALUES (?, ?, ?, ?)',
          id,
          owner['seq'] ?? null,
          name,
          JSON.stringify(labels),
        )
        return { id, consumer: text(owner['id']), name, labels }
      })
    },
    async updateApplication(id, patch) {
      return connection.transaction(() => {
        const row = rows.knownRow(id)
        const application = { ...applicationOf(row), ...patch }
        if (application.name !== row['name']) rows.refuseTaken(row['consumer'], application.name)
        const labels = JSON.stringify(application.labels)
        connection.run('UPDATE applications SET name = ?, labels = ? WHERE id = ?', application.name, labels, id)
        rows.changed(row)
        return application
      })
    },
    async removeApplication(id) {
      connection.transaction(() => {
        const row = rows.knownRow(id)
        const seq = row['seq'] ?? null
        rows.changed(row)
        connection.run('DELETE FROM uses WHERE credential IN (SELECT id FROM credentials WHERE application = ?)', seq)
        connection.run('DELETE FROM applications WHERE seq = ?', seq)
      })
    },
  }
}

function ofRows(connection: Connection) {
  return {
    knownRow(id: string): Row {
      const row = connection.get(`${select} WHERE id = ?`, id)
      if (row !== undefined) return row
      throw new StoreRefusal('unknown', `there is no application \`${id}\``, 'app')
    },
    refuseTaken(consumer: Row['seq'] | undefined, name: string): void {
      const query = 'SELECT 1 FROM applications WHERE consumer = ? AND name = ?'
      if (connection.get(query, consumer ?? null, name) === undefined) return
      const message = `the consumer has an application \`${name}\` already`
      throw new StoreRefusal('exists', message, 'name', 'Choose another name.')
    },
    changed(row: Row): void {
      const query = 'SELECT kind, lookup FROM credentials WHERE application = ? LIMIT 1001'
      connection.changedCredentials(connection.all(query, row['seq'] ?? null))
    },
  }
}
