// A gateway that runs out of file descriptors: it refuses, spends no time on it, and is well when there are some again.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { findTool } from '../../scripts/tools.ts'
import { ask } from '../tools/ask.ts'
import { Crowd } from '../tools/crowd.ts'
import { Line } from '../tools/load.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const skip = findTool('prlimit') === null ? 'no prlimit here (Debian package util-linux)' : false
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`
const failedCalls = 'http_server_request_duration_seconds_count'

/** Share of one core that the gateway takes while nobody asks it for anything. */
async function busyShare(program: Program): Promise<number> {
  const [startedMs, beforeMs] = [performance.now(), await program.cpuMs()]
  await pause(2_000)
  return ((await program.cpuMs()) - beforeMs) / (performance.now() - startedMs)
}

test('connections beyond what there is are closed; upstreams, the admin port and open connections have theirs', {
  skip,
}, async t => {
  await using origin = await Origin.start((_, response) => void response.end('up'))
  const config = { upstreams: { a: { targets: [origin.url] } }, routes: [{ match: {}, forward: 'a' }] }
  await using program = await Program.start(config, {}, [], ['prlimit', '--nofile=256:256'])
  const line = await Line.open(program.port)
  assert.equal((await line.call(get('/'))).status, 200)
  const before = await program.descriptors()

  using crowd = new Crowd()
  await crowd.add(program.port, 600, '', 50)
  await until(
    async () => (await program.total('turnpike_ceiling_hits_total', { ceiling: 'descriptors' })) > 300,
    () => 'connections to be closed for want of descriptors',
  )
  const during = await program.descriptors()
  const share = await busyShare(program)
  t.diagnostic(
    `${before} descriptors before, ${during} of 256 during, ${crowd.open} of 600 open, ${Math.round(share * 100)} % busy`,
  )
  assert.ok(during <= 256 - 24, `${during} descriptors are taken`)
  assert.ok(share < 0.5, `it is ${share} of a core busy with nothing`)
  assert.equal((await line.call(get('/'))).status, 200)
  assert.equal((await program.admin('/readyz')).status, 200)
  // A connection to an upstream, too.
  for (const socket of origin.sockets) socket.destroy()
  assert.equal((await line.call(get('/'))).status, 200)

  crowd.leave()
  await until(
    async () => (await program.descriptors()) <= before + 2,
    () => 'the descriptors to be free again',
  )
  assert.equal((await ask(program.port)).text, 'up')
  assert.equal(await program.total('turnpike_worker_replacements_total'), 0)
})

test('when there is not one left, calls fail and connections close, and all goes on when there are some', {
  skip,
}, async t => {
  await using origin = await Origin.start((request, response) => {
    // Those of the crowd wait, each with a connection to the upstream.
    if (request.url === '/wait') setTimeout(() => response.end('late'), 4_000).unref()
    else response.end('up')
  })
  const overload = { descriptors: { reserve: 8 } }
  const upstreams = { a: { targets: [origin.url], ejection: { consecutive: 2 } } }
  const config = { overload, upstreams, routes: [{ match: {}, forward: 'a' }] }
  await using program = await Program.start(config, {}, [], ['prlimit', '--nofile=200:200'])
  assert.equal((await ask(program.port)).text, 'up')
  const before = await program.descriptors()

  using crowd = new Crowd()
  await crowd.add(program.port, 130, '', 20)
  await program.untilTotal('turnpike_downstream_connections', {}, 130)
  for (const socket of crowd.sockets) socket.write(get('/wait'))
  // More than there is room for in any case.
  await crowd.add(program.port, 100, '', 20)
  let most = 0
  for (let look = 0; look < 10; look++) {
    most = Math.max(most, await program.descriptors())
    await pause(50)
  }
  const share = await busyShare(program)
  const failed = await ask(program.port).then(
    ({ status }) => status,
    (error: NodeJS.ErrnoException) => error.code,
  )
  t.diagnostic(
    `${before} descriptors before, at most ${most} of 200, ${Math.round(share * 100)} % busy, a new call: ${failed}`,
  )
  assert.ok(most >= 199, `only ${most} descriptors were taken`)
  assert.ok(share < 0.5, `it is ${share} of a core busy with nothing`)

  crowd.leave()
  await until(
    async () => (await program.descriptors()) <= before + 4,
    () => 'the descriptors to be free again',
    15_000,
  )
  const failures = await program.total(failedCalls, { error_type: 'upstream-connect-failed' })
  t.diagnostic(`${failures} of 130 calls failed`)
  assert.ok(failures > 0)
  // The target is not to blame, so it was not left out.
  assert.equal((await ask(program.port)).text, 'up')
  assert.equal(await program.total('turnpike_worker_replacements_total'), 0)
  assert.equal(await program.total('turnpike_upstream_ejections_total'), 0)
})
