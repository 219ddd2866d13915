// TLS sessions by openssl s_client: over many connections and all workers, and over rotations of the keys of their tickets.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { findTool } from '../../scripts/tools.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const run = promisify(execFile)
const skip = findTool('openssl') === null && 'openssl is not installed (Debian: apt-get install openssl)'
const { cert, key } = selfSigned(['one.test'])
const workers = 3

function configOf(tlsSessions: object): object {
  return {
    workers,
    tlsSessions,
    listeners: [{ port: 0, host: '127.0.0.1', tls: { certificates: [{ cert: 'one.pem', key: 'one.key' }] } }],
    routes: [{ match: { path: '/**' }, reply: { status: 200, body: 'pong' } }],
  }
}

let program: Program
before(async () => {
  program = await Program.start(configOf({}), { 'one.pem': cert, 'one.key': key })
})
after(() => program[Symbol.asyncDispose]())

interface Handshake {
  readonly isReused: boolean
  /** What the key of the ticket that the server gave is named by; empty where it gave none. */
  readonly keyName: string
}

/** One connection with one call, as openssl saw it; the session goes to the file `out` and comes from the file `from`. */
async function connect(version: string, options: { out?: string; from?: string } = {}): Promise<Handshake> {
  const { out, from } = options
  const args = ['s_client', '-connect', `127.0.0.1:${program.port}`, '-servername', 'one.test', `-${version}`]
  if (out !== undefined) args.push('-sess_out', program.file(out))
  if (from !== undefined) args.push('-sess_in', program.file(from))
  const running = run('openssl', [...args, '-ign_eof'], { timeout: 20_000 })
  running.child.stdin?.end('GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n')
  const { stdout } = await running
  assert.match(stdout, /pong/)
  // In TLS 1.3 openssl tells of the handshake first, and of each ticket when it comes.
  const found = /^(New|Reused), TLS/m.exec(stdout)?.[1]
  assert.ok(found === 'New' || found === 'Reused', stdout)
  const names = [...stdout.matchAll(/TLS session ticket:\n +0000 - ([0-9a-f -]{47})/g)].map(([, name = '']) => name)
  return { isReused: found === 'Reused', keyName: names.at(-1) ?? '' }
}

async function countReused(version: string, from: string, times: number): Promise<number> {
  const handshakes = await Promise.all(Array.from({ length: times }, () => connect(version, { from })))
  return handshakes.filter(({ isReused }) => isReused).length
}

describe('sessions of openssl s_client', { skip }, () => {
  for (const version of ['tls1_2', 'tls1_3']) {
    test(`${version}: a session resumes on every connection, over all workers`, async () => {
      const file = `${version}.session`
      assert.equal((await connect(version, { out: file })).isReused, false)
      // Twenty connections all but surely reach each of three workers.
      assert.equal(await countReused(version, file, 20), 20)
    })
  }

  test('a session outlives one rotation, on all workers, and none when it is too old', async () => {
    const rotateMs = 6_000
    await program.rewrite(configOf({ lifetime: `${rotateMs}ms`, rotate: `${rotateMs}ms` }))
    assert.equal((await program.admin('/reload', { method: 'POST' })).status, 200)
    const { name, session } = await lastBeforeRotation(rotateMs)
    assert.equal(await countReused('tls1_3', session, 6), 6)
    await until(
      async () => (await connect('tls1_3')).keyName !== name,
      () => 'one more key of tickets',
      3 * rotateMs,
    )
    assert.equal(await countReused('tls1_3', session, 3), 0)
  })
})

/** The session that was made last before the key of tickets changed, and the name of the key that followed. */
async function lastBeforeRotation(rotateMs: number): Promise<{ name: string; session: string }> {
  let [session, next]: [string, string] = ['even.session', 'odd.session']
  let before = ''
  let name = ''
  await until(
    async () => {
      name = (await connect('tls1_3', { out: next })).keyName
      assert.match(name, /^[0-9a-f]/)
      if (before !== '' && name !== before) return true
      before = name
      ;[session, next] = [next, session]
      return false
    },
    () => 'another key of tickets',
    3 * rotateMs,
  )
  return { name, session }
}
