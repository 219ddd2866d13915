import assert from 'node:assert/strict'
import test from 'node:test'
import { fakeTime, settle } from './fakes.ts'
import { LineWriter } from './line-writer.ts'

function setUp(bufferBytes = 1_000_000) {
  const time = fakeTime()
  const written: string[] = []
  const events: string[] = []
  const counts = { written: 0, dropped: 0 }
  const causes: unknown[] = []
  let gate: Promise<void> | null = null
  let failure: Error | null = null
  const writer = new LineWriter({
    ...time,
    bufferBytes,
    format: (line: string, bytes, at) => at + bytes.write(line, at, 'latin1'),
    file: {
      write: async bytes => {
        events.push('write')
        if (gate !== null) await gate
        if (failure !== null) throw failure
        written.push(bytes.toString('latin1'))
      },
      reopen: async () => {
        events.push('reopen')
        if (failure !== null) throw failure
      },
      close: async () => {
        events.push('close')
      },
    },
    onWritten: lines => {
      counts.written += lines
    },
    onDropped: (lines, cause) => {
      counts.dropped += lines
      causes.push(cause)
    },
  })
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    gate = promise
    return () => {
      gate = null
      resolve()
    }
  }
  const fail = (error: Error | null) => {
    failure = error
  }
  return { ...time, writer, written, events, counts, causes, hold, fail }
}

test('lines wait 100 ms and go out as one batch', async () => {
  const { writer, written, counts, pass } = setUp()
  writer.add('a\n')
  writer.add('b\n')
  await pass(99)
  assert.deepEqual(written, [])
  await pass(1)
  assert.deepEqual(written, ['a\nb\n'])
  assert.deepEqual(counts, { written: 2, dropped: 0 })
  await pass(1000)
  assert.equal(written.length, 1)
})

test('a quarter of what may wait goes out at once, 256 kB at most', async () => {
  for (const [bufferBytes, batchBytes] of [
    [8_192, 4_096],
    [200_000, 50_000],
    [8_000_000, 262_144],
    [3_000_000_000, 262_144],
  ] as const) {
    const { writer, written } = setUp(bufferBytes)
    const lines = Math.ceil(batchBytes / 1000)
    for (let index = 0; index < lines - 1; index++) writer.add(`${'x'.repeat(999)}\n`)
    await settle()
    assert.equal(written.length, 0)
    writer.add(`${'x'.repeat(999)}\n`)
    await settle()
    assert.deepEqual(
      written.map(batch => batch.length),
      [lines * 1000],
    )
  }
})

test('while a batch is being written the next one gathers, and follows', async () => {
  const { writer, written, events, hold, pass } = setUp()
  const release = hold()
  writer.add('a\n')
  await pass(100)
  writer.add('b\n')
  await pass(500)
  assert.deepEqual(events, ['write'], 'one write at a time')
  release()
  await settle()
  await pass(100)
  assert.deepEqual(written, ['a\n', 'b\n'])
})

test('lines past the bound are dropped and counted, those under way included in the bound', async () => {
  const { writer, written, counts, causes, hold, pass } = setUp(6)
  const release = hold()
  writer.add('aa\n')
  await pass(100)
  for (const line of ['bb\n', 'cc\n', 'dd\n']) writer.add(line)
  assert.deepEqual(counts, { written: 0, dropped: 2 })
  assert.deepEqual(causes, [null, null])
  release()
  await settle()
  await pass(100)
  assert.deepEqual(written, ['aa\n', 'bb\n'])
})

test('a batch that the file refuses is counted as dropped, and writing goes on', async () => {
  const { writer, written, counts, causes, fail, pass } = setUp()
  const full = new Error('ENOSPC')
  fail(full)
  writer.add('a\n')
  await pass(100)
  assert.deepEqual(counts, { written: 0, dropped: 1 })
  assert.deepEqual(causes, [full])
  fail(null)
  writer.add('b\n')
  await pass(100)
  assert.deepEqual(written, ['b\n'])
})

test('reopening waits for the write under way and keeps the next one waiting', async () => {
  const { writer, events, hold, pass } = setUp()
  const release = hold()
  writer.add('a\n')
  await pass(100)
  const reopened = writer.reopen()
  writer.add('b\n')
  await pass(1000)
  assert.deepEqual(events, ['write'])
  release()
  await reopened
  await settle()
  await pass(100)
  assert.deepEqual(events, ['write', 'reopen', 'write'])
})

test('reopening that fails says so and writing goes on', async () => {
  const { writer, written, fail, pass } = setUp()
  fail(new Error('EACCES'))
  await assert.rejects(writer.reopen(), /EACCES/)
  fail(null)
  writer.add('a\n')
  await pass(100)
  assert.deepEqual(written, ['a\n'])
})

test('closing writes what waits, then closes the file and watches no deadline', async () => {
  const { writer, written, events, counts, hold, pass, watched } = setUp()
  const release = hold()
  writer.add('a\n')
  await pass(100)
  writer.add('b\n')
  const closed = writer.close()
  release()
  await closed
  assert.deepEqual(written, ['a\n', 'b\n'])
  assert.deepEqual(events.at(-1), 'close')
  assert.equal(watched.size, 0)
  writer.add('c\n')
  assert.equal(counts.dropped, 1)
})

test('closing gives up after two seconds on a file that takes nothing', async () => {
  const { writer, counts, hold, pass, events } = setUp()
  hold()
  writer.add('a\n')
  await pass(100)
  writer.add('b\n')
  const closed = writer.close()
  await pass(2000)
  await closed
  assert.equal(counts.dropped, 1)
  assert.deepEqual(events, ['write'])
})
