import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readConfig } from './config.ts'
import { loadSources, SourceError } from './load.ts'
import { language } from './test-language.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'turnpike-load-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('the sources of a folder come by name; hidden and other files are left out, symlinks followed', async t => {
  const folder = folderOf(t)
  for (const name of ['b.yml', 'a.json', 'C.YAML', '.hidden.yaml', 'README.md', 'a.yaml~']) {
    writeFileSync(join(folder, name), name)
  }
  mkdirSync(join(folder, '..v1'))
  mkdirSync(join(folder, 'folder.yaml'))
  writeFileSync(join(folder, '..v1', 'mounted'), 'mounted')
  symlinkSync('..v1', join(folder, '..data'))
  symlinkSync('..data/mounted', join(folder, 'd.yaml'))
  const sources = await loadSources(folder)
  assert.deepEqual(
    sources.map(source => source.text),
    ['C.YAML', 'a.json', 'b.yml', 'mounted'],
  )
  assert.equal(sources[3]?.path, join(folder, 'd.yaml'))
})

test('what cannot be read is said with a hint', async t => {
  const folder = folderOf(t)
  writeFileSync(join(folder, 'latin.txt'), Buffer.from([0x61, 0xe9]))
  symlinkSync('nowhere', join(folder, 'gone.yaml'))
  const cases = [
    [join(folder, 'none.yaml'), /^there is no config at/],
    [join(folder, 'latin.txt'), /is not UTF-8 text$/],
    [folder, /^there is no config at .*gone\.yaml$/],
  ] as const
  for (const [path, message] of cases) {
    await assert.rejects(loadSources(path), (error: unknown) => {
      assert.ok(error instanceof SourceError && error.hint !== '')
      assert.match(error.message, message)
      return true
    })
  }
  rmSync(join(folder, 'gone.yaml'))
  await assert.rejects(loadSources(folder), /holds no config$/)
})

test('a config that cannot be read is refused, not thrown', async t => {
  const path = join(folderOf(t), 'none.yaml')
  const resolution = await readConfig(path, { language, env: {} })
  assert.ok(!resolution.ok)
  assert.deepEqual(resolution.filesRead, [path])
  assert.equal(resolution.problems[0]?.position, null)
})

test('a byte order mark is no part of the config', async t => {
  const path = join(folderOf(t), 'a.yaml')
  writeFileSync(path, '\ufeffroutes:\n  - match: { path: /a }\n    reply: x\n')
  const resolution = await readConfig(path, { language, env: {} })
  assert.ok(resolution.ok)
})
