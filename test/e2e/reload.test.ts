// Every way to ask for a reload, and every way in which one may fail: all or nothing, said once.
//
// Runs alone.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { ask } from '../tools/ask.ts'
import { freePort } from '../tools/free-port.ts'
import { Line, Load } from '../tools/load.ts'
import { Program, render } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const extension = path.join(import.meta.dirname, 'extensions', 'trouble.ts')

function replying(body: string, more: object = {}): object {
  return { workers: 2, ...more, routes: [{ match: { path: '/' }, reply: { body } }] }
}

/** A broken connection is told with what the gateway wrote meanwhile. */
function asked(program: Program): ReturnType<typeof ask> {
  return ask(program.port).catch((error: unknown) => {
    throw new Error(`no answer; the log says ${program.stderr}`, { cause: error })
  })
}

/** Waits until each of ten fresh connections, over both workers, is answered so. */
async function untilAnswered(program: Program, text: string): Promise<void> {
  await until(
    async () => (await asked(program)).text === text,
    () => `the reply to be "${text}"; the log says ${program.stderr}`,
  )
  for (let i = 0; i < 10; i++) assert.equal((await asked(program)).text, text)
}

interface Outcome {
  readonly status: number
  readonly result: string
  readonly version: number
  readonly problems: readonly string[]
}

async function reload(program: Program): Promise<Outcome> {
  const reply = await program.admin('/reload', { method: 'POST' })
  const { result, version, problems } = (await reply.json()) as Outcome
  return { status: reply.status, result, version, problems }
}

function errorsOf(program: Program): string[] {
  const lines = program.stderr.split('\n').filter(line => line.includes('"level":"error"'))
  return lines.map(line => (JSON.parse(line) as { msg: string }).msg)
}

async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-'))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
    await writeFile(path.join(folder, name), text)
  }
  return folder
}

describe('the config is read again', { timeout: 300_000, concurrency: 2 }, () => {
  test('when its file is written, again and again', async () => {
    await using program = await Program.start(replying('0'))
    for (const text of ['1', '2', '3']) {
      await program.rewrite(replying(text))
      await untilAnswered(program, text)
    }
    assert.equal(await program.total('turnpike_config_version'), 4)
  })

  test('when another file takes its place, again and again', async () => {
    await using program = await Program.start(replying('0'))
    for (const text of ['1', '2', '3']) {
      await program.replace(replying(text))
      await untilAnswered(program, text)
    }
  })

  test('when a file of its folder is written, comes or goes', async () => {
    const folder = await folderOf({
      'conf/main.yaml': 'listeners: [{ port: 0, host: 127.0.0.1 }]\nadmin: { port: 0 }\nworkers: 2\ndrain: 1s\n',
      'conf/routes.yaml': 'routes: [{ match: { path: / }, reply: { body: one } }]\n',
    })
    await using program = await Program.open(folder, path.join(folder, 'conf'))
    await untilAnswered(program, 'one')
    await writeFile(path.join(folder, 'conf/routes.yaml'), 'routes: [{ match: { path: / }, reply: { body: two } }]\n')
    await untilAnswered(program, 'two')
    const more = path.join(folder, 'conf/more.yaml')
    await writeFile(more, 'routes: [{ match: { path: /more }, reply: { body: more } }]\n')
    await until(
      async () => (await ask(program.port, { path: '/more' })).status === 200,
      () => 'the route of the new file',
    )
    await rm(more)
    await until(
      async () => (await ask(program.port, { path: '/more' })).status === 404,
      () => 'the route to go',
    )
  })

  test('when Kubernetes swaps the symlink above a mounted ConfigMap', async () => {
    const folder = await folderOf({
      'mount/..v1/turnpike.json': render(replying('v1')),
      'mount/..v2/turnpike.json': render(replying('v2')),
      'mount/..v3/turnpike.json': render(replying('v3')),
    })
    const mount = path.join(folder, 'mount')
    await symlink('..v1', path.join(mount, '..data'))
    await symlink('..data/turnpike.json', path.join(mount, 'turnpike.json'))
    await using program = await Program.open(folder, path.join(mount, 'turnpike.json'))
    await untilAnswered(program, 'v1')
    for (const version of ['v2', 'v3']) {
      await symlink(`..${version}`, path.join(mount, '..data_tmp'))
      await rename(path.join(mount, '..data_tmp'), path.join(mount, '..data'))
      await untilAnswered(program, version)
    }
  })

  test('on a SIGHUP that comes as soon as the gateway says that it is ready', async () => {
    const within = ['env', `NODE_OPTIONS=--import=${new URL('../tools/slow-to-say.mjs', import.meta.url).href}`]
    await using program = await Program.start(replying('0'), {}, ['--no-watch'], within)
    await program.rewrite(replying('1'))
    program.signal('SIGHUP')
    await untilAnswered(program, '1')
  })

  test('on a SIGHUP that comes while the gateway starts', async () => {
    const early = path.join(import.meta.dirname, 'extensions', 'early.ts')
    await using program = await Program.start(replying('0'), {}, ['--no-watch', '--extension', early])
    await program.untilTotal('turnpike_config_reloads_total', { result: 'unchanged' }, 1)
    await untilAnswered(program, '0')
  })

  test('on SIGHUP and by the admin API, also where nothing is watched', async () => {
    await using program = await Program.start(replying('0'), {}, ['--no-watch'])
    await program.rewrite(replying('1'))
    program.signal('SIGHUP')
    await untilAnswered(program, '1')
    await program.rewrite(replying('2'))
    assert.deepEqual(await reload(program), { status: 200, result: 'taken', version: 3, problems: [] })
    await untilAnswered(program, '2')
    assert.deepEqual(await reload(program), { status: 200, result: 'unchanged', version: 3, problems: [] })
    for (const [result, count] of [
      ['taken', 2],
      ['unchanged', 1],
      ['refused', 0],
    ] as const) {
      assert.equal(await program.total('turnpike_config_reloads_total', { result }), count, result)
    }
  })
})

describe('a config that cannot be had', { timeout: 300_000 }, () => {
  test('changes nothing and is said once; a good one is taken after it', async () => {
    await using program = await Program.start(replying('0'))
    await using load = new Load({ port: program.port, keepAlive: 2, fresh: 1 })
    await program.replace({ ...replying('1'), rotues: [] })
    await program.untilTotal('turnpike_config_last_reload_successful', {}, 0)
    for (let i = 0; i < 3; i++) {
      const { status, result, version, problems } = await reload(program)
      assert.deepEqual([status, result, version], [422, 'refused', 1])
      assert.match(problems[0] ?? '', /turnpike\.json:\d+:\d+: .*`?rotues/)
    }
    // The same mistake written anew is the same mistake; another one is said.
    const refusals = await program.total('turnpike_config_reloads_total', { result: 'refused' })
    await program.replace({ ...replying('2'), rotues: [] })
    await until(
      async () => (await program.total('turnpike_config_reloads_total', { result: 'refused' })) > refusals,
      () => 'the watch to look again',
    )
    await untilAnswered(program, '0')
    const about = (word: string) => errorsOf(program).filter(text => text.includes(word))
    assert.equal(about('rotues').length, 1, program.stderr)
    await program.replace({ ...replying('3'), wokrers: 1 })
    await until(
      () => about('wokrers').length === 1,
      () => 'the other mistake to be said',
    )
    assert.equal(await program.total('turnpike_config_version'), 1)
    await program.replace(replying('4'))
    await untilAnswered(program, '4')
    assert.equal(await program.total('turnpike_config_last_reload_successful'), 1)
    assert.equal(await program.total('turnpike_config_version'), 2)
    await load.stop()
    assert.deepEqual(load.lost, {})
  })

  for (const index of [0, 1]) {
    test(`by worker ${index} only changes nothing in any worker, and opens no port`, async () => {
      const main = { port: 0, host: '127.0.0.1', name: 'main' }
      await using program = await Program.start(replying('0', { listeners: [main] }), {}, ['--extension', extension])
      await using load = new Load({ port: program.port, keepAlive: 4, fresh: 3 })
      const spare = await freePort()
      const bad = replying('1', {
        listeners: [main, { port: spare, host: '127.0.0.1' }],
        policies: [{ picky: { refuses: index } }],
      })
      for (let i = 0; i < 5; i++) {
        await program.replace(bad)
        const { status, version, problems } = await reload(program)
        assert.deepEqual([status, version], [422, 1])
        assert.match(problems[0] ?? '', new RegExp(`worker ${index} will not have it`))
        await untilAnswered(program, '0')
        // The watch has seen the file too, and opens the port for as long as it takes to find out.
        await untilClosed(spare)
      }
      await program.replace({ ...bad, policies: [{ picky: { refuses: 9 } }] })
      await reload(program)
      await untilAnswered(program, '1')
      ;(await Line.open(spare)).close()
      await load.stop()
      assert.deepEqual(load.lost, {})
    })
  }

  test('by a worker that would join loses no call and starts no worker', async () => {
    await using program = await Program.start(replying('0'), {}, ['--extension', extension])
    await using load = new Load({ port: program.port, keepAlive: 4, fresh: 3 })
    for (let i = 0; i < 3; i++) {
      await program.replace(replying('1', { workers: 4, policies: [{ picky: { refuses: 3 } }] }))
      const { status, version } = await reload(program)
      assert.deepEqual([status, version], [422, 1])
      await untilAnswered(program, '0')
      await program.untilTotal('turnpike_workers', {}, 2)
    }
    await load.stop()
    assert.deepEqual(load.lost, {})
    assert.doesNotMatch(program.stderr, /a worker died/)
  })

  test('because a port is in use changes nothing, until the port is free', async () => {
    await using program = await Program.start(replying('0'), {}, ['--no-watch'])
    const other = net.createServer()
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as net.AddressInfo
    await program.replace(
      replying('1', {
        listeners: [
          { port: program.port, host: '127.0.0.1' },
          { port, host: '127.0.0.1' },
        ],
      }),
    )
    const { status, problems } = await reload(program)
    assert.equal(status, 422)
    assert.match(problems[0] ?? '', new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: it is in use`))
    await untilAnswered(program, '0')
    await new Promise(resolve => other.close(resolve))
    assert.equal((await reload(program)).result, 'taken')
    await untilAnswered(program, '1')
    ;(await Line.open(port)).close()
  })
})

async function untilClosed(port: number): Promise<void> {
  await until(
    async () => {
      const line = await Line.open(port).catch((error: unknown) => String(error))
      if (typeof line === 'string') return /REFUSED/.test(line)
      line.close()
      return false
    },
    () => `port ${port} to be closed`,
  )
}
