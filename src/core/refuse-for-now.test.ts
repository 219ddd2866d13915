import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refuseForNow } from './refuse-for-now.ts'

const told = [
  [undefined, '1'],
  [-5, '1'],
  [0, '1'],
  [1_000, '1'],
  [1_000.000_1, '1'],
  [1_001, '2'],
  [86_399_001, '86400'],
  [1e15, '2147483647'],
  [Infinity, undefined],
] as const

for (const [waitMs, seconds] of told) {
  test(`a wait of ${waitMs} ms is told as ${seconds} s`, () => {
    const reply = refuseForNow('buffers-full', waitMs)
    assert.deepEqual([reply.status, reply.code, reply.headers.get('retry-after')], [503, 'buffers-full', seconds])
  })
}
