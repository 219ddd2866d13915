// How a million credentials load, how long a lookup takes that no cache answers, and what a worker needs in memory when every
// one of them is asked for.
//
//   node bench/micro/consumers.ts [credentials]

import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createDirectory } from '../../src/identity/directory.ts'
import { SqliteReader } from '../../src/stores/sqlite/reader.ts'
import { createSqliteStore } from '../../src/stores/sqlite/store.ts'
import { fakePorts } from '../../test/tools/call.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const count = Number(process.argv[2] ?? 1_000_000)
const perConsumer = 10
const batch = 20_000
const lookups = 50_000

const lookupOf = (index: number) => createHash('sha256').update(`key ${index}`).digest('hex')

const folder = mkdtempSync(path.join(os.tmpdir(), 'turnpike-bench-'))
const file = path.join(folder, 'consumers.sqlite')
const store = createSqliteStore({ path: file, wall: Date.now, bytes: randomBytes })
try {
  const started = performance.now()
  for (let at = 0; at < count / perConsumer / 10; at++) {
    await store.createConsumer({ name: `c${at}`, groups: ['gold'], labels: {}, plan: '', limits: {} })
  }
  const withConsumers = performance.now()
  for (let from = 0; from < count; from += batch) {
    await store.createCredentials(
      Array.from({ length: Math.min(batch, count - from) }, (_, at) => ({
        ...{ kind: 'key' as const, consumer: `c${(from + at) % (count / perConsumer / 10)}`, application: '' },
        ...{
          lookup: lookupOf(from + at),
          verifier: '',
          hint: 'tpk_abcd',
          scopes: ['read'],
          labels: {},
          expiresMs: null,
        },
      })),
    )
  }
  const loaded = performance.now()
  print('consumers', `${Math.round(count / perConsumer / 10)} in ${((withConsumers - started) / 1000).toFixed(1)} s`)
  print('credentials', `${count} in ${((loaded - withConsumers) / 1000).toFixed(1)} s`)
  print('file', `${Math.round(statSync(file).size / 1e6)} MB`)
  collect()
  const before = process.memoryUsage()
  const reader = new SqliteReader({ path: file, planLimits: () => undefined, used: () => {} })
  for (const [what, prefix] of [
    ['known', 'key'],
    ['unknown', 'nothing'],
  ] as const) {
    const wanted = Array.from({ length: lookups }, () => Math.floor(Math.random() * count))
    const digests = wanted.map(at => createHash('sha256').update(`${prefix} ${at}`).digest('hex'))
    const from = performance.now()
    let found = 0
    for (const digest of digests) if (reader.find('key', digest) !== null) found++
    print(`${what} lookup`, `${(((performance.now() - from) * 1000) / lookups).toFixed(1)} µs (${found} found)`)
  }
  const from = performance.now()
  for (let at = 0; at < lookups; at++) reader.changes()
  print('look for changes', `${(((performance.now() - from) * 1000) / lookups).toFixed(2)} µs`)
  collect()
  const after = process.memoryUsage()
  print('memory of a reader', `rss ${mb(after.rss - before.rss)}, heap ${mb(after.heapUsed - before.heapUsed)}`)
  const { identities, close } = createDirectory({
    ...fakePorts(),
    reader,
    memory: { credentials: 20_000, unknownCredentials: 10_000 },
    seed: [1, 2],
  })
  const asked = performance.now()
  for (let at = 0; at < count; at++) void identities.find('key', lookupOf(at))
  const each = ((performance.now() - asked) * 1000) / count
  collect()
  const full = process.memoryUsage()
  print('every key once', `${each.toFixed(1)} µs each, with making its digest`)
  print('memory of the cache', `rss ${mb(full.rss - after.rss)}, heap ${mb(full.heapUsed - after.heapUsed)}`)
  close()
  reader.close()
} finally {
  store.close()
  rmSync(folder, { recursive: true })
}

function print(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(20)}${value}\n`)
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
