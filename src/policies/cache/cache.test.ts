import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Body } from '../../core/body.ts'
import { type Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import { OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { makeCall, ManualSource, RecordingSink } from '../../../test/tools/call.ts'
import { defaults, fresh, makeWorld, type Options, replyOf, sentence } from '../../../test/tools/cache-world.ts'
import { cache } from './cache.ts'

const textOf = async (reply: Reply) => (await reply.body.bytes(10e6)).toString()
const status = (value: string) => ({ 'cache-status': value })
/** A reply whose body the test pushes. */
function pushed(headers: Record<string, string> = fresh, length = -1) {
  const { body, source } = ManualSource.body(length)
  return { source, reply: new Reply(200, Headers.of(headers), body) }
}

function refused(given: Partial<Options>): unknown {
  try {
    cache.check?.({ ...defaults, ...given })
  } catch (error) {
    return error instanceof OptionsError ? error.path : error
  }
  return null
}

describe('replies that are not whole', () => {
  const cut = new Failure('upstream-reply-cut-short')
  const cases: readonly (readonly [string, (source: ManualSource) => void, number])[] = [
    ['one that breaks off', source => source.sink?.fail(cut), -1],
    ['one shorter than its length', source => source.sink?.end(null), 10],
    ['one with trailers, which would be lost', source => source.sink?.end(Headers.of({ 'x-sum': '1' })), -1],
  ]
  for (const [title, end, length] of cases) {
    test(`${title} is not kept, and who waited asks again`, async () => {
      const { source, reply } = pushed(fresh, length)
      const replies = [reply]
      const world = makeWorld({}, () => replies.shift() ?? replyOf({ headers: fresh, body: 'whole' }))
      const [leader, other] = [world.step(makeCall()), world.step(makeCall())]
      const sink = new RecordingSink()
      ;(await leader).body.pipe(sink)
      source.push('hel')
      end(source)
      assert.equal(sink.text, 'hel')
      assert.equal(sink.failure, title.includes('breaks') ? cut : null)
      assert.equal(await textOf(await other), 'whole')
      assert.equal(await textOf(await world.step(makeCall())), 'whole')
    })
  }

  test('replies of the gateway itself are not kept', async () => {
    const world = makeWorld({ statuses: [404] }, () => {
      const reply = Reply.problem('route-not-found')
      reply.headers.add('cache-control', 'max-age=60')
      return reply
    })
    await world.step(makeCall())
    await world.step(makeCall())
    assert.equal(world.calls.length, 2)
  })
})

describe('bounds', () => {
  test('the least recently used make room', async () => {
    const world = makeWorld({}, () => replyOf({ headers: fresh, body: 'x'.repeat(20_000) }), 100_000)
    const asked = async (target: string) => {
      const before = world.calls.length
      await textOf(await world.step(makeCall({ target })))
      return world.calls.length > before
    }
    for (const target of ['/1', '/2', '/3', '/4']) assert.equal(await asked(target), true)
    assert.equal(await asked('/1'), false)
    assert.equal(await asked('/5'), true)
    assert.deepEqual([await asked('/1'), await asked('/2')], [false, true])
    assert.ok(world.counted('turnpike_cache_evictions') >= 1)
  })

  test('a body known to be longer than `bodyMax` is not kept', async () => {
    const world = makeWorld({ bodyMax: 4 }, () => replyOf({ headers: fresh }))
    assert.equal(await textOf(await world.step(makeCall())), 'hello')
    assert.equal(await textOf(await world.step(makeCall())), 'hello')
    assert.equal(world.calls.length, 2)
  })

  test('replies on their way in take no more than a part of the memory', async () => {
    const bodies = [pushed(), pushed()]
    const replies = bodies.map(({ reply }) => reply)
    const world = makeWorld({}, () => replies.shift() as Reply, 40_000)
    await Promise.all([world.step(makeCall({ target: '/1' })), world.step(makeCall({ target: '/2' }))])
    for (const { source } of bodies) source.push('x'.repeat(6_000))
    assert.equal(world.counted('turnpike_ceiling_hits cache-fills all'), 1)
    for (const { source } of bodies) source.sink?.end(null)
    const again = await world.step(makeCall({ target: '/1' }))
    assert.equal((await textOf(again)).length, 6_000)
    assert.equal(world.calls.length, 2)
  })
})

/** Takes one piece, and then no more. */
async function slow(answer: Promise<Reply>) {
  const sink = new RecordingSink()
  sink.hasRoom = false
  const reply = await answer
  reply.body.pipe(sink)
  return { sink, reply }
}

describe('slow clients', () => {
  test('that read what made room meanwhile hold no more than the bound; further long bodies are passed on', async () => {
    const world = makeWorld({}, () => replyOf({ headers: fresh, body: 'x'.repeat(100_000) }), 450_000)
    const kept = async (target: string) => void (await textOf(await world.step(makeCall({ target }))))
    const held: Awaited<ReturnType<typeof slow>>[] = []
    for (const target of ['/1', '/2', '/3', '/4']) {
      await kept(target)
      held.push(await slow(world.step(makeCall({ target }))))
      held.push(await slow(world.step(makeCall({ target }))))
    }
    await kept('/5')
    const before = world.calls.length
    const passed = await world.step(makeCall({ target: '/5' }))
    assert.equal(world.calls.length, before + 1)
    assert.equal(world.counted('turnpike_ceiling_hits cache-readers all'), 1)
    assert.equal((await textOf(passed)).length, 100_000)
    // One reader of two goes: its body is still being sent. With the other it is not.
    held[0]?.reply.body.cancel()
    assert.equal((await slow(world.step(makeCall({ target: '/5' })))).sink.text.length, 100_000)
    held[1]?.reply.body.cancel()
    assert.equal((await slow(world.step(makeCall({ target: '/5' })))).sink.text.length, 65_536)
  })

  test('that asked first hold the room of their replies until they have them', async () => {
    const bodies = [pushed(), pushed(), pushed()]
    const replies = bodies.map(({ reply }) => reply)
    const world = makeWorld({}, () => replies.shift() as Reply, 400_000)
    const first = await slow(world.step(makeCall({ target: '/1' })))
    const fill = async (index: number, target: string) => {
      const answer = index === 0 ? null : await slow(world.step(makeCall({ target })))
      for (let i = 0; i < 9; i++) bodies[index]?.source.push('x'.repeat(10_000))
      bodies[index]?.source.sink?.end(null)
      return answer
    }
    await fill(0, '/1')
    assert.equal(world.counted('turnpike_ceiling_hits cache-fills all'), 0)
    await fill(1, '/2')
    assert.equal(world.counted('turnpike_ceiling_hits cache-fills all'), 1)
    first.sink.hasRoom = true
    first.reply.body.resume()
    assert.deepEqual([first.sink.text.length, first.sink.isEnded], [90_000, true])
    await fill(2, '/3')
    assert.equal(world.counted('turnpike_ceiling_hits cache-fills all'), 1)
  })
})

describe('a long body from the store', () => {
  test('goes piece by piece, at the pace of the client, and stays what it was', async () => {
    const text = 'abc'.repeat(100_000)
    const world = makeWorld({}, () => replyOf({ headers: fresh, body: text }))
    await textOf(await world.step(makeCall()))
    const reply = await world.step(makeCall())
    assert.equal(reply.body.length, text.length)
    const sink = new RecordingSink()
    sink.hasRoom = false
    reply.body.pipe(sink)
    assert.equal(sink.text.length, 65_536)
    sink.hasRoom = true
    reply.body.resume()
    assert.deepEqual([sink.text === text, sink.isEnded], [true, true])
    const cancelled = await world.step(makeCall())
    const other = new RecordingSink()
    other.hasRoom = false
    cancelled.body.pipe(other)
    cancelled.body.cancel()
    cancelled.body.resume()
    assert.deepEqual([other.text.length, other.isEnded], [65_536, false])
  })

  test('what is done to the fields of one reply is not done to the next', async () => {
    const world = makeWorld({}, () => replyOf({ headers: { ...fresh, 'x-a': '1' } }))
    await world.step(makeCall())
    const one = await world.step(makeCall())
    one.headers.set('x-a', '2')
    one.headers.delete('cache-control')
    const other = await world.step(makeCall())
    assert.deepEqual([other.headers.get('x-a'), other.headers.get('cache-control')], ['1', 'max-age=60'])
  })
})

describe('Cache-Status (RFC 9211)', () => {
  sentence(
    'says what was done',
    [
      {
        expect: 'asked',
        service: { headers: { ...fresh, etag: '"1"' } },
        fields: status('turnpike; fwd=uri-miss; fwd-status=200; stored'),
      },
      { expect: 'cached', after: 10, fields: status('turnpike; hit; ttl=50') },
      {
        expect: 'validated',
        after: 60,
        service: { status: 304 },
        fields: status('turnpike; fwd=stale; fwd-status=304; stored'),
      },
      {
        expect: 'validated',
        headers: { 'cache-control': 'no-cache' },
        fields: status('turnpike; fwd=request; fwd-status=304; stored'),
      },
      {
        expect: 'asked',
        headers: { 'if-match': '"1"' },
        service: { headers: fresh },
        fields: status('turnpike; fwd=bypass; fwd-status=200'),
      },
      {
        expect: 'asked',
        target: '/b',
        service: { headers: { 'cache-status': 'inner; hit' } },
        fields: status('inner; hit, turnpike; fwd=uri-miss; fwd-status=200'),
      },
    ],
    { cacheStatus: 'turnpike' },
  )
  sentence('is not written by default', [
    { expect: 'asked', service: { headers: fresh }, fields: { 'cache-status': undefined } },
  ])
})

describe('options', () => {
  const cases: readonly (readonly [Partial<Options>, readonly (string | number)[]])[] = [
    [{ statuses: [200, 206] }, ['statuses', 1]],
    [{ statuses: [304] }, ['statuses', 0]],
    [{ ttl: { '206': 1 } }, ['ttl', '206']],
    [{ ttl: { '99': 1 } }, ['ttl', '99']],
    [{ ttl: { '500': 1 } }, ['ttl', '500']],
    [{ key: { ...defaults.key, headers: ['a', 'te'] } }, ['key', 'headers', 1]],
    [{ bypass: { ...defaults.bypass, headers: ['a b'] } }, ['bypass', 'headers', 0]],
  ]
  for (const [given, path] of cases) {
    test(`refused with its place: ${JSON.stringify(given)}`, () => assert.deepEqual(refused(given), path))
  }
  test('the defaults are fine', () => assert.equal(refused({}), null))
})

test('a body that comes with the head is kept, and given on whole', async () => {
  const world = makeWorld({}, () => new Reply(200, Headers.of(fresh), Body.of('at once')))
  assert.equal(await textOf(await world.step(makeCall())), 'at once')
  assert.equal(await textOf(await world.step(makeCall())), 'at once')
  assert.equal(world.calls.length, 1)
})

const heard = ({ upstream, askedTarget, tries, upstreamMs }: Call) => [upstream, askedTarget?.id, tries, upstreamMs]

test('the log hears of the upstream that was asked, of its target, and how often', async () => {
  const world = makeWorld({}, (call: Call) => {
    call.upstream = 'stock'
    call.askedTarget = { id: 'http://stock.test' }
    call.tries = 2
    call.upstreamMs = 7
    return replyOf({ headers: fresh })
  })
  const [first, second] = [makeCall(), makeCall()]
  await world.step(first)
  await world.step(second)
  assert.deepEqual(heard(first), ['stock', 'http://stock.test', 2, 7])
  assert.deepEqual(heard(second), ['', undefined, 0, 0])
})
