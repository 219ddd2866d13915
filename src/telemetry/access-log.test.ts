import assert from 'node:assert/strict'
import test from 'node:test'
import { createAccessLogOver } from './access-log.ts'
import { HiddenParameters } from './redact.ts'
import { renderMetrics } from './exposition.ts'
import { readExposition } from './exposition-reader.ts'
import { fakeFinished, fakeTime } from './fakes.ts'
import { createMeter } from './meter.ts'
import { createPage } from './page.ts'

const silent = () => {}

test('calls are written in order; trouble is said once and counted always', async () => {
  const time = fakeTime()
  const page = createPage('0')
  const warnings: object[] = []
  const log = { debug: silent, info: silent, warn: (fields: object) => warnings.push(fields), error: silent }
  const written: string[] = []
  let isBroken = false
  const write = async (bytes: Buffer) => {
    if (isBroken) throw new Error('ENOSPC')
    written.push(bytes.toString())
  }
  const file = { write, reopen: async () => {}, close: async () => {} }
  const accessLog = createAccessLogOver(file, {
    to: 'a.log',
    bufferBytes: 1e6,
    hidden: new HiddenParameters(),
    meter: createMeter({ page }),
    log,
    ...time,
  })

  for (const path of ['/1', '/2']) accessLog.write(fakeFinished({ path }))
  await time.pass(100)
  const lines = written.join('').trimEnd().split('\n')
  assert.deepEqual(
    lines.map(line => (JSON.parse(line) as { path: string }).path),
    ['/1', '/2'],
  )

  isBroken = true
  for (const path of ['/3', '/4']) {
    accessLog.write(fakeFinished({ path }))
    await time.pass(100)
  }
  assert.deepEqual(warnings, [{ to: 'a.log', reason: 'ENOSPC' }])
  const { samples } = readExposition(renderMetrics([page], 'prometheus'))
  assert.deepEqual(
    samples.map(({ labels, value }) => [labels.outcome, value]),
    [
      ['written', 2],
      ['dropped', 2],
    ],
  )
})
