import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import { makeCall, ManualSource, RecordingSink } from '../../../test/tools/call.ts'
import { fresh, makeWorld, replyOf, sentence } from '../../../test/tools/cache-world.ts'

const textOf = async (reply: Reply) => (await reply.body.bytes(10e6)).toString()
const turn = () => new Promise(setImmediate)
/** A reply whose body the test pushes. */
function pushed(headers: Record<string, string> = fresh, length = -1) {
  const { body, source } = ManualSource.body(length)
  return { source, reply: new Reply(200, Headers.of(headers), body) }
}

describe('one question for all who wait', () => {
  test('64 calls at once ask the service once', async () => {
    const { source, reply } = pushed()
    const world = makeWorld({}, () => reply)
    const answers = Array.from({ length: 64 }, () => world.step(makeCall()))
    await turn()
    const leader = await (answers[0] as Promise<Reply>)
    const sink = new RecordingSink()
    leader.body.pipe(sink)
    source.push('hel')
    assert.equal(sink.text, 'hel')
    source.push('lo')
    source.sink?.end(null)
    const texts = await Promise.all(answers.slice(1).map(async answer => textOf(await answer)))
    assert.deepEqual(new Set(texts), new Set(['hello']))
    assert.equal(world.calls.length, 1)
    assert.equal(world.counted('turnpike_cache_calls r collapsed'), 63)
  })

  test('a reply that may not be kept lets each ask for itself at once, and nobody waits for the next', async () => {
    const first = pushed({ 'cache-control': 'no-store' })
    const replies = [first.reply]
    const world = makeWorld({}, () => replies.shift() ?? replyOf({ body: 'own' }))
    const [leader, ...others] = Array.from({ length: 4 }, () => world.step(makeCall()))
    await turn()
    assert.deepEqual(await Promise.all(others.map(async answer => textOf(await answer))), ['own', 'own', 'own'])
    assert.equal(world.calls.length, 4)
    assert.equal((await leader)?.status, 200)
    const later = Array.from({ length: 3 }, () => world.step(makeCall()))
    await turn()
    assert.equal(world.calls.length, 7)
    await Promise.all(later)
  })

  test('one that turns out too long lets them go then, and streams on at the pace of its reader', async () => {
    const { source, reply } = pushed()
    const replies = [reply]
    const world = makeWorld({ bodyMax: 5 }, () => replies.shift() ?? replyOf({ headers: fresh, body: 'own' }))
    const [leader, other] = [world.step(makeCall()), world.step(makeCall())]
    const sink = new RecordingSink()
    ;(await leader).body.pipe(sink)
    sink.hasRoom = false
    assert.equal(source.push('12345'), true)
    assert.equal(source.push('6'), false)
    assert.equal(await textOf(await other), 'own')
    sink.hasRoom = true
    source.sink?.end(null)
    assert.equal(world.calls.length, 2)
  })

  test('the failure of the service is that of all who waited', async () => {
    const world = makeWorld({}, () => Reply.problem('upstream-timeout'))
    const answers = await Promise.all(Array.from({ length: 5 }, () => world.step(makeCall())))
    assert.deepEqual(new Set(answers.map(({ code }) => code)), new Set(['upstream-timeout']))
    assert.equal(world.calls.length, 1)
  })

  test('who waited for too long asks for itself', async () => {
    const first = pushed()
    const replies = [first.reply]
    const world = makeWorld({ collapse: 100 }, () => replies.shift() ?? replyOf({ headers: fresh, body: 'own' }))
    const [, other] = [world.step(makeCall()), world.step(makeCall())]
    await turn()
    world.ports.advance(101)
    world.beat()
    assert.equal(await textOf(await other), 'own')
    assert.equal(world.counted('turnpike_ceiling_hits cache-waits r'), 1)
  })

  test('`collapse: 0s` lets each ask', async () => {
    const world = makeWorld({ collapse: 0 }, () => replyOf({ headers: fresh }))
    await Promise.all([world.step(makeCall()), world.step(makeCall())])
    assert.equal(world.calls.length, 2)
  })

  test('callers with credentials and others do not wait for each other, nor get each other’s reply', async () => {
    const world = makeWorld({}, call =>
      replyOf({ headers: fresh, body: call.headers.get('authorization') ?? 'nobody' }),
    )
    const known = makeCall({ headers: { authorization: 'a' } })
    const texts = await Promise.all(
      [known, makeCall(), makeCall({ headers: { authorization: 'b' } })].map(async call =>
        textOf(await world.step(call)),
      ),
    )
    assert.deepEqual(texts, ['a', 'nobody', 'b'])
  })

  test('one that is stale from the start is for who asked alone', async () => {
    const { source, reply } = pushed({ 'cache-control': 'max-age=0', etag: '"1"' })
    const replies = [reply]
    const world = makeWorld({}, () => replies.shift() ?? replyOf({ headers: fresh, body: 'own' }))
    const [, other] = [world.step(makeCall()), world.step(makeCall())]
    await turn()
    source.push('old')
    source.sink?.end(null)
    assert.equal(await textOf(await other), 'own')
    assert.equal(world.calls.length, 2)
  })

  test('who asks after a change does not get what was asked before it', async () => {
    const { source, reply } = pushed()
    const replies = [reply, Reply.empty(204)]
    const world = makeWorld({}, () => replies.shift() ?? replyOf({ headers: fresh, body: 'new' }))
    await world.step(makeCall())
    await world.step(makeCall({ method: 'PUT' }))
    const other = world.step(makeCall())
    await turn()
    source.push('old')
    source.sink?.end(null)
    assert.equal(await textOf(await other), 'new')
  })

  test('a reply to somebody that may not be kept keeps nobody else from waiting', async () => {
    const world = makeWorld({}, async () => {
      await turn()
      return replyOf({ headers: fresh })
    })
    await world.step(makeCall({ headers: { authorization: 'a' } }))
    const answers = await Promise.all([world.step(makeCall()), world.step(makeCall())])
    assert.deepEqual(await Promise.all(answers.map(textOf)), ['hello', 'hello'])
    assert.equal(world.calls.length, 2)
  })

  test('other forms of the reply are fetched one by one, each once', async () => {
    const world = makeWorld({}, async call => {
      await turn()
      return replyOf({ headers: { ...fresh, vary: 'x-a' }, body: call.headers.get('x-a') ?? '' })
    })
    const asked = ['1', '2', '1', '2', '3', '1'].map(async value =>
      textOf(await world.step(makeCall({ headers: { 'x-a': value } }))),
    )
    assert.deepEqual(await Promise.all(asked), ['1', '2', '1', '2', '3', '1'])
    assert.equal(world.calls.length, 3)
  })
})

describe('callers that leave', () => {
  const gone = new Failure('client-closed')

  test('the last one gone, the question is given up', async () => {
    const world = makeWorld({}, () => new Promise<Reply>(() => {}))
    const calls = [makeCall(), makeCall()]
    const answers = calls.map(call => world.step(call))
    await turn()
    calls[0]?.abandon(gone)
    await assert.rejects(answers[0] as Promise<Reply>, gone)
    assert.equal(world.calls[0]?.abandonReason, null)
    calls[1]?.abandon(gone)
    await assert.rejects(answers[1] as Promise<Reply>, gone)
    assert.notEqual(world.calls[0]?.abandonReason, null)
  })

  test('who asked first may leave while its reply comes: the others get theirs', async () => {
    const { source, reply } = pushed()
    const world = makeWorld({}, () => reply)
    const first = makeCall()
    const [leader, other] = [world.step(first), world.step(makeCall())]
    const leading = await leader
    leading.body.pipe(new RecordingSink())
    source.push('hel')
    leading.body.cancel()
    first.abandon(gone)
    assert.equal(world.calls[0]?.abandonReason, null)
    source.push('lo')
    source.sink?.end(null)
    assert.equal(await textOf(await other), 'hello')
  })

  test('a slow first client holds back nobody', async () => {
    const { source, reply } = pushed()
    const world = makeWorld({}, () => reply)
    const [leader, other] = [world.step(makeCall()), world.step(makeCall())]
    const slow = new RecordingSink()
    slow.hasRoom = false
    const leading = await leader
    leading.body.pipe(slow)
    for (const text of ['a', 'b', 'c']) assert.equal(source.push(text), true)
    source.sink?.end(null)
    assert.equal(await textOf(await other), 'abc')
    assert.deepEqual([slow.text, slow.isEnded], ['a', false])
    slow.hasRoom = true
    leading.body.resume()
    assert.deepEqual([slow.text, slow.isEnded], ['abc', true])
  })

  test('a deadline that a policy further in sets is kept', async () => {
    const world = makeWorld({}, call => {
      call.deadlineMs = world.ports.clock.now() + 50
      return new Promise((_resolve, reject) => call.onAbandon({ abandoned: reject }))
    })
    const answer = world.step(makeCall())
    await turn()
    world.ports.advance(51)
    world.beat()
    await assert.rejects(answer, new Failure('call-timeout'))
  })
})

describe('stale while it is fetched (RFC 5861 §3)', () => {
  const headers = { 'cache-control': 'max-age=5, stale-while-revalidate=20', etag: '"1"' }

  test('the stale reply comes at once, the service is asked once, and the next call has the new one', async () => {
    const { source, reply } = pushed()
    const replies = [replyOf({ headers, body: 'old' }), reply]
    const world = makeWorld({}, () => replies.shift() as Reply)
    await world.step(makeCall())
    world.ports.advance(10_000)
    const stale = await Promise.all([world.step(makeCall()), world.step(makeCall())])
    assert.deepEqual(await Promise.all(stale.map(textOf)), ['old', 'old'])
    await turn()
    assert.equal(world.calls.length, 2)
    assert.equal(world.calls[1]?.headers.get('if-none-match'), '"1"')
    source.push('new')
    source.sink?.end(null)
    assert.equal(await textOf(await world.step(makeCall())), 'new')
    assert.equal(world.counted('turnpike_cache_calls r stale'), 2)
  })

  test('past its time it is waited for; a failure behind changes nothing', async () => {
    const world = makeWorld({}, () =>
      world.calls.length === 1 ? replyOf({ headers, body: 'old' }) : replyOf({ status: 500 }),
    )
    await world.step(makeCall())
    world.ports.advance(24_000)
    assert.equal(await textOf(await world.step(makeCall())), 'old')
    await turn()
    assert.equal(world.calls.length, 2)
    world.ports.advance(2_000)
    assert.equal((await world.step(makeCall())).status, 500)
  })

  test('a service that does not answer is given up after a while', async () => {
    const world = makeWorld({ staleWhileRevalidate: 60_000 }, () =>
      world.calls.length === 1 ? replyOf({ headers: { 'cache-control': 'max-age=5' } }) : new Promise<Reply>(() => {}),
    )
    await world.step(makeCall())
    world.ports.advance(10_000)
    await world.step(makeCall())
    await turn()
    world.ports.advance(30_001)
    world.beat()
    assert.equal(world.calls[1]?.abandonReason?.code, 'call-timeout')
  })

  sentence('who asks for something fresher waits for it', [
    { expect: 'asked', service: { headers } },
    { expect: 'validated', after: 10, headers: { 'cache-control': 'max-age=6' }, service: { status: 304 } },
  ])
  sentence('must-revalidate forbids it', [
    {
      expect: 'asked',
      service: { headers: { ...headers, 'cache-control': `${headers['cache-control']}, must-revalidate` } },
    },
    { expect: 'validated', after: 10, service: { status: 304 } },
  ])
})
