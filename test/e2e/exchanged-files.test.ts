// The files of Turnpike are exchanged under a running process, as by an upgrade in place.

import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { Program } from '../tools/program.ts'

const root = path.join(import.meta.dirname, '..', '..')

async function copyOfProgram(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-copy-'))
  for (const name of ['src', 'package.json'])
    await cp(path.join(root, name), path.join(folder, name), { recursive: true })
  await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  return folder
}

test('no worker of another version joins the process: the old ones go on, and the log says to restart', async t => {
  const copy = await copyOfProgram()
  t.after(() => rm(copy, { recursive: true }))
  const run = `node=$1; shift 2; exec "$node" ${copy}/src/main.ts "$@"`
  const routes = [{ match: { path: '/**' }, reply: { body: 'here' } }]
  await using program = await Program.start({ workers: 1, routes }, {}, [], ['/bin/sh', '-c', run, 'sh'])
  assert.equal((await program.admin('/workers/1/replace', { method: 'POST' })).status, 200)

  const manifest = path.join(copy, 'package.json')
  const before = await readFile(manifest, 'utf8')
  const found = (JSON.parse(before) as { version: string }).version
  await writeFile(manifest, before.replace(`"version": "${found}"`, '"version": "99.0.0"'))
  const refused = await program.admin('/workers/2/replace', { method: 'POST' })
  assert.equal(refused.status, 500)
  assert.match(
    program.stderr,
    new RegExp(`is Turnpike ${found}, but its files are those of 99\\.0\\.0 now: restart it`),
  )
  assert.equal(await (await fetch(program.url)).text(), 'here')
  const workers = (await (await program.admin('/workers')).json()) as { id: number; state: string }[]
  assert.deepEqual(
    workers.map(({ id, state }) => [id, state]),
    [[2, 'serving']],
  )

  await writeFile(manifest, before)
  assert.equal((await program.admin('/workers/2/replace', { method: 'POST' })).status, 200)
})
