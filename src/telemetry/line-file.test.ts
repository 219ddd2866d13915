import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import test, { type TestContext } from 'node:test'
import { openLineFile } from './line-file.ts'

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'turnpike-'))
  context.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('writes append to what stands there, also after the file was moved away and opened anew', async context => {
  const folder = temporaryFolder(context)
  const at = path.join(folder, 'access.log')
  const moved = path.join(folder, 'access.log.1')
  const file = openLineFile(at)
  const other = openLineFile(at)
  await file.write(Buffer.from('a\n'))
  await other.write(Buffer.from('b\n'))
  renameSync(at, moved)
  await file.write(Buffer.from('c\n'))
  await file.reopen()
  await file.write(Buffer.from('d\n'))
  await Promise.all([file.close(), other.close()])
  assert.equal(readFileSync(moved, 'latin1'), 'a\nb\nc\n')
  assert.equal(readFileSync(at, 'latin1'), 'd\n')
  assert.equal(statSync(at).mode & 0o007, 0, 'others may not read it')
})

test('a path that cannot be opened is refused at once, naming it and what to look at', context => {
  const at = path.join(temporaryFolder(context), 'missing', 'access.log')
  assert.throws(() => openLineFile(at), /cannot be opened: .*missing\/access\.log.*telemetry\.accessLog/)
})

test('where opening anew fails, the old file is written on', async context => {
  const folder = temporaryFolder(context)
  const logs = path.join(folder, 'logs')
  const moved = path.join(folder, 'moved')
  mkdirSync(logs)
  const file = openLineFile(path.join(logs, 'access.log'))
  renameSync(logs, moved)
  await assert.rejects(file.reopen(), /cannot be opened/)
  await file.write(Buffer.from('a\n'))
  await file.close()
  assert.equal(readFileSync(path.join(moved, 'access.log'), 'latin1'), 'a\n')
})
