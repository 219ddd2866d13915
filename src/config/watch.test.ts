import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConfigWatch } from './watch.ts'

/** A watch on a path in a new folder, and a promise for each further change. */
async function watching(t: TestContext, prepare: (folder: string) => { path: string; files?: string[] }) {
  const folder = mkdtempSync(join(tmpdir(), 'turnpike-watch-'))
  t.after(() => rmSync(folder, { recursive: true }))
  let count = 0
  let waiting: (() => void) | null = null
  const watch = new ConfigWatch({
    ...prepare(folder),
    quietMs: 20,
    pollMs: 60_000,
    changed() {
      count++
      waiting?.()
    },
  })
  t.after(() => watch.close())
  await watch.ready()
  /** The watcher's timers do not hold the process; this one does, and bounds the wait. */
  const change = (act: () => void) =>
    new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no change was noticed')), 5000)
      waiting = () => {
        clearTimeout(late)
        resolve()
      }
      act()
    })
  return { folder, watch, change, count: () => count }
}

test('a file written in place is noticed', async t => {
  const { folder, change } = await watching(t, folder => {
    writeFileSync(join(folder, 'a.yaml'), 'workers: 1')
    return { path: join(folder, 'a.yaml') }
  })
  await change(() => writeFileSync(join(folder, 'a.yaml'), 'workers: 2'))
  await change(() => writeFileSync(join(folder, 'a.yaml'), 'workers: 3'))
})

test('a file replaced by rename is noticed, again and again', async t => {
  const { folder, change } = await watching(t, folder => {
    writeFileSync(join(folder, 'a.yaml'), 'workers: 1')
    return { path: join(folder, 'a.yaml') }
  })
  for (const workers of [2, 3, 4]) {
    await change(() => {
      writeFileSync(join(folder, '.a.yaml.swp'), `workers: ${workers}`)
      renameSync(join(folder, '.a.yaml.swp'), join(folder, 'a.yaml'))
    })
  }
})

/** Puts a version into a ConfigMap's folder as the kubelet does. */
function put(folder: string, version: number): void {
  mkdirSync(join(folder, `..v${version}`))
  writeFileSync(join(folder, `..v${version}`, 'a.yaml'), `workers: ${version}`)
  symlinkSync(`..v${version}`, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
}

test('a swapped ..data link is noticed, as Kubernetes updates a ConfigMap', async t => {
  const { folder, change } = await watching(t, folder => {
    put(folder, 1)
    symlinkSync('..data/a.yaml', join(folder, 'a.yaml'))
    return { path: folder }
  })
  for (const version of [2, 3]) {
    await change(() => {
      put(folder, version)
      rmSync(join(folder, `..v${version - 1}`), { recursive: true })
    })
  }
})

test('files that come and go in a folder are noticed', async t => {
  const { folder, change } = await watching(t, folder => {
    writeFileSync(join(folder, 'a.yaml'), 'workers: 1')
    return { path: folder }
  })
  await change(() => writeFileSync(join(folder, 'b.yaml'), 'drain: 1s'))
  await change(() => rmSync(join(folder, 'b.yaml')))
})

test('a folder that is replaced whole is noticed, and what changes in the new one', async t => {
  const { folder, change } = await watching(t, folder => {
    mkdirSync(join(folder, 'config'))
    writeFileSync(join(folder, 'config', 'a.yaml'), 'workers: 1')
    return { path: join(folder, 'config') }
  })
  await change(() => {
    renameSync(join(folder, 'config'), join(folder, 'old'))
    mkdirSync(join(folder, 'config'))
    writeFileSync(join(folder, 'config', 'a.yaml'), 'workers: 2')
  })
  await change(() => writeFileSync(join(folder, 'config', 'a.yaml'), 'workers: 3'))
})

test('a file that the config refers to is noticed, also one named later', async t => {
  const { folder, watch, change, count } = await watching(t, folder => {
    mkdirSync(join(folder, 'certs'))
    for (const name of ['a.pem', 'b.pem']) writeFileSync(join(folder, 'certs', name), 'one')
    writeFileSync(join(folder, 'a.yaml'), 'workers: 1')
    return { path: join(folder, 'a.yaml'), files: [join(folder, 'certs', 'a.pem')] }
  })
  await change(() => writeFileSync(join(folder, 'certs', 'a.pem'), 'two'))
  watch.watchFiles([join(folder, 'certs', 'b.pem')])
  await watch.ready()
  assert.equal(count(), 1, 'a newly named file is no change')
  await change(() => writeFileSync(join(folder, 'certs', 'b.pem'), 'two'))
})

test('a change of anything else in the folder calls nobody', async t => {
  const { folder, change, count } = await watching(t, folder => {
    writeFileSync(join(folder, 'a.yaml'), 'workers: 1')
    return { path: folder }
  })
  writeFileSync(join(folder, 'access.log'), 'line')
  writeFileSync(join(folder, 'a.yaml'), 'workers: 1')
  await change(() => writeFileSync(join(folder, 'a.yaml'), 'workers: 2'))
  assert.equal(count(), 1)
})
