// What a worker pays to know a key: one it knows, one it knows to be nobody's, and the same by SHA-256 and a Map. Then whether
// time tells an unknown key from one that is revoked or expired, over the real store.
//
//   node bench/micro/directory.ts

import { hash, randomBytes, randomFillSync, randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import type { ConsumerReader } from '../../src/core/consumers.ts'
import { createDirectory, type Directory } from '../../src/identity/directory.ts'
import { createKeyText, digestOf } from '../../src/identity/key.ts'
import { SqliteReader } from '../../src/stores/sqlite/reader.ts'
import { createSqliteStore } from '../../src/stores/sqlite/store.ts'
import { fakePorts } from '../../test/tools/call.ts'

const keys = 8192
const rounds = 5
const callsPerRound = 500_000
const kinds = ['unknown', 'revoked', 'expired'] as const

const clock = { now: () => performance.now(), wall: () => Date.now() }
const makeKeys = (count: number) =>
  Array.from({ length: count }, () => Buffer.from(createKeyText(randomFillSync), 'latin1'))
/** As off the wire: a string of its own, that V8 has not seen. */
const textOf = (bytes: Buffer | undefined) => bytes?.toString('latin1') ?? ''

const folder = mkdtempSync(path.join(os.tmpdir(), 'turnpike-bench-'))
const file = path.join(folder, 'consumers.sqlite')
const store = createSqliteStore({ path: file, wall: Date.now, bytes: randomBytes })
const reader = new SqliteReader({ path: file, planLimits: () => undefined, used: () => {} })
let sink = 0
try {
  const good = makeKeys(keys)
  const bad = { unknown: makeKeys(keys), revoked: makeKeys(keys), expired: makeKeys(keys) }
  await load(good, bad)
  speed(good, bad.unknown)
  // Nobody guesses keys in the order in which they were made, in which their rows lie side by side.
  for (const kind of kinds) shuffle(bad[kind])
  for (const isCached of [false, true]) compare(bad, isCached)
} finally {
  reader.close()
  store.close()
  rmSync(folder, { recursive: true })
}

async function load(good: Buffer[], bad: { revoked: Buffer[]; expired: Buffer[] }): Promise<void> {
  await store.createConsumer({ name: 'acme', groups: ['gold'], labels: {}, plan: '', limits: {} })
  const create = async (texts: Buffer[], expiresMs: number | null) =>
    store.createCredentials(
      texts.map(text => ({
        ...{ kind: 'key' as const, consumer: 'acme', application: '', lookup: digestOf(textOf(text)), verifier: '' },
        ...{ hint: '', scopes: ['read'], labels: {}, expiresMs },
      })),
    )
  await create(good, null)
  await create(bad.expired, Date.now() - 1000)
  for (const { id } of await create(bad.revoked, null)) await store.revokeCredential(id)
}

function directory(from: ConsumerReader = reader): Directory {
  const ports = fakePorts()
  return createDirectory({
    ...ports,
    clock,
    reader: from,
    seed: [1, 2],
    memory: { credentials: 4 * keys, unknownCredentials: 16 * keys },
  })
}

function speed(good: Buffer[], unknown: Buffer[]): void {
  const { identities } = directory()
  const known = (texts: Buffer[]) => (index: number) =>
    identities.key(textOf(texts[index & (keys - 1)])) === null ? 0 : 1
  measure('the text alone', index => textOf(good[index & (keys - 1)]).length)
  measure('a key that is known', known(good))
  measure('a key known to be nobody’s', known(unknown))
  const byDigest = new Map(good.map(text => [digestOf(textOf(text)), 1]))
  measure('SHA-256 and a Map', index => byDigest.get(hash('sha256', textOf(good[index & (keys - 1)]), 'hex')) ?? 0)
  const byText = new Map(good.map(text => [textOf(text), 1]))
  measure('a Map by the text', index => byText.get(textOf(good[index & (keys - 1)])) ?? 0)
}

function shuffle(list: Buffer[]): void {
  for (let last = list.length - 1; last > 0; last--) {
    const at = randomInt(last + 1)
    ;[list[at], list[last]] = [list[last] as Buffer, list[at] as Buffer]
  }
}

/** The best round counts: noise only adds. */
function measure(name: string, run: (index: number) => number): void {
  let best = Infinity
  for (let round = 0; round < rounds; round++) {
    const started = process.hrtime.bigint()
    for (let index = 0; index < callsPerRound; index++) sink += run(index)
    best = Math.min(best, Number(process.hrtime.bigint() - started) / callsPerRound)
  }
  console.log(`${name.padEnd(36)} ${best.toFixed(0).padStart(6)} ns`)
}

/** Times one look-up each, the kinds by turns, so that noise falls on all alike. */
function compare(bad: Record<(typeof kinds)[number], Buffer[]>, isCached: boolean): void {
  const times = { unknown: [] as number[], revoked: [] as number[], expired: [] as number[] }
  for (let round = 0; round < (isCached ? 12 : 6); round++) {
    const { identities } = directory()
    // By turns here too: who came first stands first in its set, and is found a little sooner.
    for (let index = 0; index < (isCached ? keys : 0); index++) {
      for (let turn = 0; turn < kinds.length; turn++) {
        void identities.key(textOf(bad[kinds[(index + turn) % kinds.length] ?? 'unknown'][index]))
      }
    }
    for (let index = 0; index < keys; index++) {
      for (let turn = 0; turn < kinds.length; turn++) {
        const kind = kinds[(index + turn) % kinds.length] ?? 'unknown'
        const text = textOf(bad[kind][index])
        const started = process.hrtime.bigint()
        if (identities.key(text) !== null) throw new Error(`a key that is ${kind} was taken`)
        // The first round warms up.
        if (round > 0) times[kind].push(Number(process.hrtime.bigint() - started))
        else process.hrtime.bigint()
      }
    }
  }
  for (const kind of kinds) times[kind].sort((a, b) => a - b)
  for (const kind of kinds) {
    const median = times[kind][times[kind].length >> 1] ?? 0
    const line = `${isCached ? 'asked before' : 'asked first'}: ${kind}`
    const told =
      kind === 'unknown'
        ? ''
        : `, slower than an unknown one in ${(100 * slower(times[kind], times.unknown)).toFixed(1)} % of pairs`
    console.log(`${line.padEnd(36)} ${median.toFixed(0).padStart(6)} ns${told}`)
  }
}

/** How often a time of `these` is above one of `those`, ties as half: 50 % says nothing, 100 % tells all. Both are sorted. */
function slower(these: readonly number[], those: readonly number[]): number {
  let below = 0
  let upTo = 0
  let sum = 0
  for (const time of these) {
    while (below < those.length && (those[below] ?? 0) < time) below++
    while (upTo < those.length && (those[upTo] ?? 0) <= time) upTo++
    sum += (below + upTo) / 2
  }
  return sum / (these.length * those.length)
}
