// Takes and gives permits of calls at once, as many at a time as a test likes.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { PermitOutcome, PermitStore } from '../../src/core/permits.ts'
import { Counting } from './counting.ts'
import type { RedisServer } from './redis.ts'
import { until } from './until.ts'

function gateway(t: TestContext, server: RedisServer, id: string): Counting {
  const counting = new Counting({ url: server.url, timeout: 500 }, id)
  t.after(() => counting.close())
  return counting
}

export async function gateways(t: TestContext, server: RedisServer, ids = ['a', 'b', 'c']): Promise<Counting[]> {
  return Promise.all(ids.map(id => gateway(t, server, id).ready()))
}

export async function take(
  store: PermitStore | undefined,
  count: number,
  limit: number,
  key = 'key',
): Promise<PermitOutcome[]> {
  assert.ok(store !== undefined)
  const outcomes = await Promise.all(Array.from({ length: count }, async () => store.take(key, limit)))
  return outcomes.filter(({ isAllowed }) => isAllowed)
}

export const give = (outcomes: readonly PermitOutcome[]) => {
  for (const outcome of outcomes) outcome.give()
}

/** Until so many can be had again; they are kept. */
export async function untilHad(store: PermitStore, count: number, limit: number): Promise<void> {
  await until(
    async () => {
      const had = await take(store, count, limit)
      if (had.length < count) give(had)
      return had.length === count
    },
    () => `${count} permits to come back`,
  )
}

export async function permitKeys(server: RedisServer): Promise<string[]> {
  return (await server.must('KEYS', 'test:*')).split('\r\n').filter(text => /^test:[\w-]{43}$/.test(text))
}

/** The one key that counts permits. */
export async function onlyKey(server: RedisServer): Promise<string> {
  const keys = await permitKeys(server)
  assert.equal(keys.length, 1, keys.join())
  return keys[0] ?? ''
}
