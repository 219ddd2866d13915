// Each known flood of HTTP/2 while honest clients call: none of their calls is lost, they wait a bounded time, and the gateway is as
// before when it is over.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ErrorCode } from '../../src/http2/protocol.ts'
import { ask } from '../tools/ask.ts'
import { ChildServer } from '../tools/child-server.ts'
import { Honest, p99MsMax, shownSeen } from '../tools/honest.ts'
import { Attacker, attacks } from '../tools/http2-attacks.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'
import type { Held } from './extensions/probe.ts'

const extension = ['--extension', path.join(import.meta.dirname, 'extensions', 'probe.ts')]
const attackMs = 700
/** Streams, their calls and their connections are all gone: what stays is what V8 learnt of the code that ran. */
const objectsGrowthMax = 0.05

let victim: ChildServer
let origin: Origin
let program: Program
let quiet: Program
let honest: Honest
const attacker = new Attacker()
let start: State
before(async () => {
  // The calls of attacks go to a server of their own: what honest clients wait is not for want of that one.
  victim = await ChildServer.start(`(request, response) => {
    if (request.url === '/large') response.end(Buffer.alloc(300_000))
    else setTimeout(() => response.end('slow'), 200)
  }`)
  origin = await Origin.start(echo)
  const timeouts = { keepAlive: '1s' }
  const config = {
    listeners: [{ name: 'open', port: 0, host: '127.0.0.1', timeouts: { body: '1s' } }],
    upstreams: { origin: { targets: [origin.url], timeouts }, victim: { targets: [victim.url], timeouts } },
    routes: [
      { match: { path: '/probe' }, policies: [{ probe: { threads: 2 } }], reply: { body: '' } },
      { match: { path: '/honest' }, forward: 'origin' },
      { match: { path: '/**' }, forward: 'victim' },
    ],
  }
  ;[program, quiet] = await Promise.all([Program.start(config, {}, extension), Program.start(config, {}, extension)])
  honest = new Honest({ attacked: program, quiet, path: '/honest' })
  // What the first calls cost once is no loss.
  await honest.takeFor(1_000)
  start = await stateOf(program)
})
after(async () => {
  attacker[Symbol.dispose]()
  await honest.stop()
  await Promise.all([program, quiet, victim, origin].map(thing => thing[Symbol.asyncDispose]()))
})

interface State {
  /** Of all threads. */
  readonly objects: number
  readonly descriptors: number
}

async function stateOf({ port }: Program): Promise<State> {
  const held = JSON.parse((await ask(port, { path: '/probe' })).text) as Held[]
  const objects = held.reduce((sum, { objects: bytes }) => sum + bytes, 0)
  return { objects, descriptors: await program.descriptors() }
}

const tooLarge = () => program.total('http_server_request_duration_seconds_count', { http_response_status_code: '431' })

describe('floods', () => {
  for (const attack of attacks) {
    const { title, ceiling } = attack
    test(title, async t => {
      const hits = async () => {
        if (ceiling === null) return tooLarge()
        return program.total('turnpike_ceiling_hits_total', { ceiling, name: 'open' })
      }
      const before = await hits()
      await honest.take()
      const { connections, codes } = await attacker.send(attack, program.port, attackMs)
      const seen = await honest.take()
      t.diagnostic(`${connections} connections; honest: ${shownSeen(seen)}`)
      assert.deepEqual([seen.attacked.failed, seen.quiet.failed], [{}, {}])
      assert.ok(seen.attacked.calls >= 20, shownSeen(seen))
      assert.ok(seen.attacked.p99Ms < p99MsMax(seen), shownSeen(seen))
      assert.ok((await hits()) > before, 'the ceiling was not hit')
      const endsConnection = ceiling !== null && ceiling !== 'http2-stalls'
      if (endsConnection) assert.ok((codes[ErrorCode.enhanceYourCalm] ?? 0) > 0, `GOAWAY: ${JSON.stringify(codes)}`)
    })
  }
})

test('afterwards everything is as it was before', async t => {
  await honest.stop()
  await program.untilQuiet()
  await until(
    async () => (await program.descriptors()) <= start.descriptors + 4,
    () => 'the descriptors to be free again',
  )
  const end = await stateOf(program)
  const grown = end.objects / start.objects - 1
  t.diagnostic(`objects ${(start.objects / 1e6).toFixed(1)} MB before, ${(end.objects / 1e6).toFixed(1)} after`)
  assert.ok(grown < objectsGrowthMax, `${(100 * grown).toFixed(1)} % more is held than before`)
  assert.equal(await program.total('turnpike_worker_replacements_total'), 0)
})
