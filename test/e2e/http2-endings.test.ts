// How calls over HTTP/2 to an upstream end when the server leaves, refuses, resets, or is gone (RFC 9113 §5.1, §6.4, §6.8, §8.7).

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { frame } from '../../src/http2/fakes.ts'
import { ErrorCode, FrameType, Setting, windowMax } from '../../src/http2/protocol.ts'
import { type Answer, ask, codeOf, type Question } from '../tools/ask.ts'
import { type Act, FrameServer, numbers } from '../tools/frame-server.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const { maxConcurrentStreams } = Setting

/** One upstream for each test, so that none finds the connections of another. */
const names = [
  'goaway',
  'raced',
  'twice',
  'refused',
  'one',
  'reset',
  'again',
  'whole',
  'kept',
  'dying',
  'fewer',
  'beside',
] as const
const lone = ['one', 'fewer']

let servers: ReadonlyMap<string, FrameServer>
let program: Program
before(async () => {
  servers = new Map(await Promise.all(names.map(async name => [name, await FrameServer.start()] as const)))
  program = await Program.start({
    upstreams: Object.fromEntries(names.map(name => [name, upstreamOf(name)])),
    routes: names.map(name => ({ match: { path: `/${name}` }, forward: name })),
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  for (const each of servers.values()) await each[Symbol.asyncDispose]()
})

function upstreamOf(name: string) {
  return {
    ...{ protocol: 'http2', targets: [`http://127.0.0.1:${server(name).port}`], timeouts: { response: '5s' } },
    ...(lone.includes(name) && { limits: { connections: 1 } }),
    ...(name === 'again' && { retry: { attempts: 1, on: ['reset'], budget: '100%' } }),
  }
}

function server(name: string): FrameServer {
  const found = servers.get(name)
  if (found === undefined) throw new Error(`no server ${name}`)
  return found
}

const to = (name: string, question: Question = {}) => ask(program.port, { path: `/${name}`, ...question })
const said = ({ status, text }: Answer) => `${status} ${text}`
/** Leaves the request without an answer. */
const hold: Act = () => {}
const resetWith =
  (code: number): Act =>
  (connection, streamId) =>
    connection.reset(streamId, code)
const refuse = resetWith(ErrorCode.refusedStream)
/** Answers, and wants nothing of the rest of the request. */
const answerAndStop: Act = (connection, streamId) =>
  connection.answer(streamId, frame(FrameType.resetStream, 0, streamId, numbers(ErrorCode.noError)))
const vanish: Act = ({ socket }) => socket.resetAndDestroy()
const shut: Act = ({ socket }) => socket.end()

const calls: readonly (readonly [title: string, question: Question])[] = [
  ['GET', {}],
  ['POST', { method: 'POST' }],
  ['POST with a body', { method: 'POST', body: 'some' }],
]

describe('GOAWAY', () => {
  test('§6.8: calls up to the last stream go on, those above it go elsewhere, whatever their method', async () => {
    const peer = server('goaway')
    peer.acts.push(hold, hold, hold, hold)
    const answers = [to('goaway')]
    await peer.called(1)
    for (const [index, [, question]] of calls.entries()) {
      answers.push(to('goaway', question))
      await peer.called(index + 2)
    }
    peer.at(0).goAway(1)
    await peer.called(7)
    peer.at(0).answer(1)
    assert.deepEqual((await Promise.all(answers)).map(said), ['200 0/1', '200 1/1', '200 1/3', '200 1/5'])
    // One connection serves all that were sent away from another.
    assert.equal(peer.connections.length, 2)
    await closed(peer, 0)
  })

  test('§6.8: first 2^31-1, then the last stream: nothing new comes, and what was under way between is sent again', async () => {
    const peer = server('twice')
    peer.acts.push(hold, hold)
    const seen = to('twice')
    await peer.called(1)
    const unseen = to('twice', { method: 'POST', body: 'some' })
    await peer.called(2)
    peer.at(0).goAway(windowMax)
    assert.equal(said(await to('twice')), '200 1/1')
    assert.deepEqual([peer.at(0).requests.size, peer.at(0).isClosed], [2, false])
    peer.at(0).goAway(1)
    await peer.called(4)
    peer.at(0).answer(1)
    assert.deepEqual([await seen, await unseen].map(said), ['200 0/1', '200 2/1'])
    await closed(peer, 0)
  })

  test('§6.8: a connection that is told to go when the last call is over, and before one comes, costs no call', async () => {
    const peer = server('raced')
    peer.acts.push((connection, streamId) => connection.answer(streamId, frame(FrameType.goAway, 0, 0, numbers(1, 0))))
    assert.equal(said(await to('raced')), '200 0/1')
    // The first call meets a server that has closed its books, but not its connection.
    peer.acts.push(connection => connection.goAway(0))
    assert.equal(said(await to('raced', { method: 'POST', body: 'some' })), '200 2/1')
    await closed(peer, 0)
    await closed(peer, 1)
  })
})

describe('RST_STREAM', () => {
  for (const [title, question] of calls) {
    test(`§8.7: REFUSED_STREAM: a ${title} is sent once more, on another connection`, async () => {
      const peer = server('refused')
      if (peer.connections.length === 0) await to('refused')
      const { length } = peer.connections
      peer.acts.push(refuse)
      assert.equal(said(await to('refused', question)), `200 ${length}/1`)
    })
  }

  test('§8.7: refused twice: 502, and no third time', async () => {
    const peer = server('refused')
    const before = peer.calls
    peer.acts.push(refuse, refuse)
    const reply = await to('refused', { method: 'POST', body: 'some' })
    assert.deepEqual([reply.status, codeOf(reply)], [502, 'upstream-stale'])
    assert.equal(peer.calls, before + 2)
  })

  test('§8.7: at the ceiling of connections the same one serves the second time', async () => {
    const peer = server('one')
    for (const [, question] of calls) {
      peer.acts.push(refuse)
      assert.match(said(await to('one', question)), /^200 0\//)
    }
    assert.equal(peer.calls, 6)
  })

  test('a call that waits for a newer connection keeps no others from one that has room', async () => {
    const peer = server('beside')
    await to('beside')
    peer.isMute = true
    peer.acts.push(refuse)
    const refused = to('beside')
    await until(
      () => peer.connections.length === 2,
      () => 'a second connection',
    )
    assert.equal(said(await to('beside')), '200 0/5')
    peer.at(1).begin()
    assert.equal(said(await refused), '200 1/1')
  })

  test('§8.7: of a body too long to be kept nothing is sent again', async () => {
    const peer = server('refused')
    const before = peer.calls
    peer.acts.push((connection, streamId) => {
      const { socket } = connection
      const look = () => {
        if ((connection.requests.get(streamId)?.bytes ?? 0) < 100_000) return
        socket.off('data', look)
        connection.reset(streamId, ErrorCode.refusedStream)
      }
      socket.on('data', look)
    })
    const reply = await to('refused', { method: 'POST', body: Buffer.alloc(300_000) })
    assert.deepEqual([reply.status, codeOf(reply)], [502, 'upstream-stale'])
    assert.equal(peer.calls, before + 1)
  })

  for (const code of ['noError', 'protocolError', 'internalError', 'cancel', 'enhanceYourCalm'] as const) {
    test(`§8.7: ${code} before a reply: a POST may have been seen and is not repeated, a GET is where \`retry\` says so`, async () => {
      for (const name of ['reset', 'again']) {
        const before = server(name).calls
        for (const [, question] of calls.slice(1)) {
          server(name).acts.push(resetWith(ErrorCode[code]))
          const reply = await to(name, question)
          assert.deepEqual([reply.status, codeOf(reply)], [502, 'upstream-reset'])
        }
        server(name).acts.push(resetWith(ErrorCode[code]))
        assert.equal((await to(name)).status, name === 'again' ? 200 : 502)
        assert.equal(server(name).calls - before, name === 'again' ? 4 : 3)
      }
      // Only the stream was broken.
      assert.equal(server('reset').connections.length, 1)
    })
  }

  test('§8.1: NO_ERROR behind a whole reply: the reply counts, the rest of the request is let go', async () => {
    const peer = server('whole')
    peer.acts.push(answerAndStop, answerAndStop)
    assert.equal(said(await to('whole', { method: 'POST', body: Buffer.alloc(1_000_000) })), '200 0/1')
    assert.equal(said(await to('whole')), '200 0/3')
    assert.equal(said(await to('whole')), '200 0/5')
  })

  test('§8.1: any code in the middle of a reply: the client sees that it is not whole', async () => {
    const peer = server('whole')
    for (const code of [ErrorCode.noError, ErrorCode.refusedStream, ErrorCode.internalError]) {
      const before = peer.calls
      peer.acts.push((connection, streamId) => {
        connection.head(streamId)
        connection.send(frame(FrameType.data, 0, streamId, Buffer.from('half')))
        setTimeout(() => connection.reset(streamId, code), 20)
      })
      const { status, text, isWhole } = await to('whole')
      assert.deepEqual([status, text, isWhole], [200, 'half', false])
      assert.equal(peer.calls, before + 1)
    }
  })
})

describe('a connection that is gone', () => {
  for (const [title, end] of [
    ['reset', vanish],
    ['closed', shut],
  ] as const) {
    test(`${title} when a call came on a kept one: a GET or PUT is sent once more, a POST may have been seen`, async () => {
      const peer = server('kept')
      const begun = async () => {
        assert.equal((await to('kept')).status, 200)
        peer.acts.push(end)
        return peer.calls
      }
      for (const question of [{}, { method: 'PUT', body: 'some' }]) {
        const before = await begun()
        assert.equal((await to('kept', question)).status, 200)
        assert.equal(peer.calls, before + 2)
      }
      const before = await begun()
      const reply = await to('kept', { method: 'POST', body: 'some' })
      assert.deepEqual([reply.status, codeOf(reply)], [502, 'upstream-stale'])
      assert.equal(peer.calls, before + 1)
    })

    test(`${title} on its first call: nothing says that it was closed before, so that is the outcome`, async () => {
      const peer = server('dying')
      const before = peer.calls
      peer.acts.push(end)
      const reply = await to('dying')
      assert.deepEqual([reply.status, codeOf(reply)], [502, 'upstream-reset'])
      assert.equal(peer.calls, before + 1)
    })
  }

  test('with many calls under way: each has an outcome, and the next has another connection', async () => {
    const peer = server('dying')
    peer.acts.push(...Array.from({ length: 19 }, () => hold), vanish)
    const posts = Array.from({ length: 20 }, () => to('dying', { method: 'POST', body: 'some' }))
    for (const reply of await Promise.all(posts))
      assert.deepEqual([reply.status, codeOf(reply)], [502, 'upstream-reset'])
    assert.equal((await to('dying')).status, 200)
  })
})

describe('SETTINGS_MAX_CONCURRENT_STREAMS', () => {
  test('§5.1.2: lowered under the calls that are under way, none is broken, and none begins until there is room', async () => {
    const peer = server('fewer')
    peer.acts.push(hold, hold, hold)
    const answers = [to('fewer'), to('fewer'), to('fewer')]
    await peer.called(3)
    const connection = peer.at(0)
    connection.settings(maxConcurrentStreams, 1)
    await connection.settled()
    answers.push(to('fewer'), to('fewer'))
    await waiting('fewer', 2)
    connection.answer(1)
    connection.answer(3)
    await connection.settled()
    // One of three is left, and that is as many as the server takes.
    assert.equal(peer.calls, 3)
    peer.acts.push(hold)
    connection.answer(5)
    await peer.called(4)
    await connection.settled()
    assert.equal(peer.calls, 4)
    connection.answer(7)
    assert.deepEqual(
      (await Promise.all(answers)).map(({ status }) => status),
      [200, 200, 200, 200, 200],
    )
    assert.equal(peer.connections.length, 1)
  })

  test('§5.1.2: 0 stops all that is new, until it is raised', async () => {
    const peer = server('fewer')
    const connection = peer.at(0)
    const before = peer.calls
    connection.settings(maxConcurrentStreams, 0)
    await connection.settled()
    const late = [to('fewer'), to('fewer', { method: 'POST', body: 'some' })]
    await waiting('fewer', 2)
    assert.equal(peer.calls, before)
    connection.settings(maxConcurrentStreams, 10)
    assert.deepEqual(
      (await Promise.all(late)).map(({ status }) => status),
      [200, 200],
    )
    assert.equal(peer.connections.length, 1)
  })
})

/** Until so many calls wait for room. */
async function waiting(upstream: string, count: number): Promise<void> {
  await program.untilTotal('turnpike_upstream_pending', { upstream }, count)
}

async function closed(peer: FrameServer, index: number): Promise<void> {
  await until(
    () => peer.at(index).isClosed,
    () => `connection ${index} to be closed`,
  )
}

test('afterwards there is no call and no connection left but idle ones', () => program.untilQuiet())
