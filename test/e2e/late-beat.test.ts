// A worker that stood still: what came meanwhile is read before deadlines are looked at.
//
// Runs alone.

import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { ask } from '../tools/ask.ts'
import { Line } from '../tools/load.ts'
import { Program } from '../tools/program.ts'

const spin = ['--extension', path.join(import.meta.dirname, 'extensions', 'spin.ts')]
const head = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'

test('clients that call while their worker stands still for longer than `timeouts.idle` are answered', async () => {
  const timeouts = { head: '1s', idle: '1s' }
  const routes = [
    { match: { path: '/spin' }, policies: [{ spin: { for: '2500ms' } }], reply: { body: '' } },
    { match: { path: '/' }, reply: { body: 'here' } },
  ]
  const listeners = [{ host: '127.0.0.1', port: 0, timeouts }]
  await using program = await Program.start({ listeners, routes }, {}, spin)
  for (let round = 0; round < 3; round++) {
    const lines = await Promise.all(Array.from({ length: 10 }, () => Line.open(program.port)))
    const first = await Promise.all(lines.map(line => line.call(head)))
    assert.ok(first.every(({ status }) => status === 200))
    const spinning = ask(program.port, { path: '/spin' })
    await pause(200)
    const statuses = await Promise.all(lines.map(async line => (await line.call(head)).status))
    assert.deepEqual(new Set(statuses), new Set([200]))
    await spinning
    for (const line of lines) line.close()
  }
})
