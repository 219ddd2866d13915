import assert from 'node:assert/strict'
import test from 'node:test'
import { createLog, createRemoteLog, type RemoteLogLine, writeRemoteLine } from './log.ts'

function written(isPretty = false) {
  const lines: string[] = []
  return { lines, log: createLog({ level: 'info', isPretty, write: line => lines.push(line) }) }
}

test('a line is JSON with level, time, fields and text', () => {
  const { lines, log } = written()
  log.warn({ route: 'catalog' }, 'something is odd')
  const { time, ...rest } = JSON.parse(lines[0] ?? '') as Record<string, unknown>
  assert.deepEqual(rest, { level: 'warn', route: 'catalog', msg: 'something is odd' })
  assert.match(String(time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
})

test('lines below the level are not written', () => {
  const { lines, log } = written()
  log.debug({}, 'detail')
  assert.deepEqual(lines, [])
})

test('errors are written with code and cause', () => {
  const { lines, log } = written()
  const cause = Object.assign(new Error('inner'), { code: 'EACCES' })
  log.error({ error: new TypeError('outer', { cause }) }, 'it failed')
  const { error } = JSON.parse(lines[0] ?? '') as { error: { type: string; message: string; cause: { code: string } } }
  assert.equal(error.type, 'TypeError')
  assert.equal(error.message, 'outer')
  assert.equal(error.cause.code, 'EACCES')
})

test('secrets are not written, at the top or one level down', () => {
  for (const isPretty of [false, true]) {
    const { lines, log } = written(isPretty)
    log.info({ cookie: 's3cret', headers: { authorization: 's3cret', 'x-api-key': 's3cret' } }, 'text')
    assert.doesNotMatch(lines.join(''), /s3cret/)
    assert.match(lines.join(''), /redacted/)
  }
})

test('the pretty form is one readable line', () => {
  const { lines, log } = written(true)
  log.info({ port: 8080 }, 'listening')
  assert.match(lines[0] ?? '', /listening/)
  assert.match(lines[0] ?? '', /8080/)
  assert.equal(lines.join('').trimEnd().split('\n').length, 1)
})

test('a line of a worker survives the way to the main thread and says which worker', () => {
  const { lines, log } = written()
  const remote = createRemoteLog((line: RemoteLogLine) => writeRemoteLine(log, structuredClone(line), 3))
  const endless: Record<string, unknown> = { count: 10n, call: () => {} }
  endless.self = endless
  remote.error({ error: new Error('broken'), endless }, 'it failed')
  const read = JSON.parse(lines[0] ?? '') as { worker: number; level: string; error: { message: string }; msg: string }
  assert.deepEqual([read.worker, read.level, read.error.message, read.msg], [3, 'error', 'broken', 'it failed'])
})
