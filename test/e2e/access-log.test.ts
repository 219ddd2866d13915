// The access log over a real pipe: lines of several threads never mix, though the reader is slow.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import test from 'node:test'
import { fileURLToPath } from 'node:url'

const lineFile = new URL('../../src/telemetry/line-file.ts', import.meta.url).href
const threads = 3
const linesPerThread = 3000

/** Each thread writes lines of many lengths, in batches as big as the writer's largest, to the standard output they share. */
const program = `
import { Worker, isMainThread, workerData } from 'node:worker_threads'
import { openLineFile } from ${JSON.stringify(lineFile)}
const file = openLineFile('stdout')
let batch = ''
for (let i = 0; i < ${linesPerThread}; i++) {
  batch += JSON.stringify({ thread: workerData, i, fill: 'x'.repeat((i * 37) % 4000) }) + '\\n'
  if (batch.length > 262144 || i === ${linesPerThread} - 1) {
    await file.write(Buffer.from(batch, 'latin1'))
    batch = ''
  }
}
`

const starter = `
import { Worker } from 'node:worker_threads'
for (let thread = 0; thread < ${threads}; thread++) {
  new Worker(new URL('data:text/javascript,' + encodeURIComponent(process.argv[1])), { workerData: thread })
}
`

test('three threads write to one slow pipe and every line arrives whole, once and in order', {
  timeout: 180_000,
}, async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', starter, program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
  })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    child.stdout.pause()
    setImmediate(() => child.stdout.resume())
  })
  const [code] = (await once(child, 'close')) as [number]
  assert.equal(code, 0)
  const next = Array.from({ length: threads }, () => 0)
  for (const line of Buffer.concat(chunks).toString('latin1').trimEnd().split('\n')) {
    const { thread, i } = JSON.parse(line) as { thread: number; i: number }
    assert.equal(i, next[thread])
    next[thread] = i + 1
  }
  assert.deepEqual(
    next,
    Array.from({ length: threads }, () => linesPerThread),
  )
})
