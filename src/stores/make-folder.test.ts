import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { makeFolder } from './make-folder.ts'

const root = mkdtempSync(path.join(os.tmpdir(), 'turnpike-folder-'))
after(() => rmSync(root, { recursive: true }))

test('folders are made for this user alone, and may be there already', () => {
  const folder = path.join(root, 'a', 'b')
  makeFolder(folder)
  makeFolder(folder)
  assert.equal(statSync(folder).mode & 0o777, 0o700)
})

test('what is in the way, and a link that leads nowhere, are errors', () => {
  writeFileSync(path.join(root, 'file'), '')
  assert.throws(() => makeFolder(path.join(root, 'file')), /EEXIST/)
  assert.throws(() => makeFolder(path.join(root, 'file', 'below')), /ENOTDIR/)
  symlinkSync(path.join(root, 'nowhere', 'at-all'), path.join(root, 'link'))
  assert.throws(() => makeFolder(path.join(root, 'link')), { code: 'ENOENT', message: /leads nowhere/ })
})

test('where no folder can be made, that is an error and no endless search', { skip: skipProc() }, () => {
  assert.throws(() => makeFolder('/proc/nodata/below'), /ENOENT|EPERM|EACCES/)
})

function skipProc(): string | false {
  return existsSync('/proc/self') ? false : 'this system has no /proc'
}
