import assert from 'node:assert/strict'
import { test } from 'node:test'
import { array, assert as assertProperty, asyncProperty, integer } from 'fast-check'
import type { Call } from '../../core/call.ts'
import { OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { type CallOptions, makeCall } from '../../../test/tools/call.ts'
import { checkSplit, createSplit, type Side } from './split.ts'
import type { Sticky } from './sticky.ts'

const half: Side[] = [
  { to: 'stable', weight: 1 },
  { to: 'next', weight: 1 },
]

/** Numbers from 0 to 1 that repeat from run to run. */
function numbers(): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

function build(sides: readonly Side[], sticky: Sticky | null) {
  const split = createSplit(sides, sticky, name => async () => Reply.text(200, name), numbers())
  const side = async (call: Call) => (await (await split(call)).body.bytes(100)).toString()
  return { split, side }
}

async function shareOf(sides: readonly Side[], sticky: Sticky | null, call: (index: number) => CallOptions) {
  const { side } = build(sides, sticky)
  const counts: Record<string, number> = {}
  for (let index = 0; index < 4000; index++) {
    const name = await side(makeCall(call(index)))
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

const sidesOf = (list: readonly number[]) => list.map((weight, index) => ({ to: `side ${index}`, weight }))
const share = (list: readonly number[], index: number) =>
  (list[index] ?? 0) / list.reduce((sum, weight) => sum + weight, 0)
const near = (count: number | undefined, wanted: number) =>
  assert.ok(Math.abs((count ?? 0) - wanted) < 120, `${count} is not near ${wanted}`)

test('shares calls by weight', async () => {
  const counts = await shareOf(
    [
      { to: 'a', weight: 70 },
      { to: 'b', weight: 20 },
      { to: 'c', weight: 10 },
      { to: 'd', weight: 0 },
    ],
    null,
    () => ({}),
  )
  near(counts['a'], 2800)
  near(counts['b'], 800)
  near(counts['c'], 400)
  assert.equal(counts['d'], undefined)
})

test('sticky: shares clients by weight, and each stays on its side', async () => {
  const sides = [
    { to: 'stable', weight: 90 },
    { to: 'next', weight: 10 },
  ]
  const counts = await shareOf(sides, { header: 'X-User' }, index => ({ headers: { 'x-user': `user ${index}` } }))
  near(counts['next'], 400)
  const { side } = build(sides, { header: 'X-User' })
  for (let user = 0; user < 50; user++) {
    const seen = new Set<string>()
    for (let i = 0; i < 5; i++) seen.add(await side(makeCall({ headers: { 'x-user': `user ${user}` } })))
    assert.equal(seen.size, 1)
  }
})

test('sticky: other weights move only clients of sides that shrank, to sides that grew, and no more than they must', async () => {
  const weights = array(integer({ min: 1, max: 100 }), { minLength: 3, maxLength: 3 })
  await assertProperty(
    asyncProperty(weights, weights, async (before, after) => {
      const [old, young] = [build(sidesOf(before), 'client'), build(sidesOf(after), 'client')]
      let moved = 0
      for (let client = 0; client < 500; client++) {
        const clientAddress = `10.0.${client >> 8}.${client & 255}`
        const from = Number((await old.side(makeCall({ clientAddress }))).slice(5))
        const to = Number((await young.side(makeCall({ clientAddress }))).slice(5))
        if (from === to) continue
        moved++
        const grew = (after[to] ?? 0) / (before[to] ?? 1)
        assert.ok(grew > (after[from] ?? 0) / (before[from] ?? 1), 'moved to a side that did not grow beside its own')
      }
      // The least that any way of sharing must move is half of how far the shares lie apart.
      const least = [0, 1, 2].reduce((sum, i) => sum + Math.abs(share(after, i) - share(before, i)), 0) / 2
      assert.ok(moved / 500 < least * 1.5 + 0.1, `${moved / 500} moved where ${least} must`)
    }),
    { numRuns: 30, seed: 7 },
  )
})

test('sticky: of two sides, exactly the difference moves, and nobody back', async () => {
  let moved = 0
  const [before, after] = [90, 80].map(weight =>
    build(
      [
        { to: 'stable', weight },
        { to: 'next', weight: 100 - weight },
      ],
      { header: 'x-user' },
    ),
  )
  assert.ok(before && after)
  for (let user = 0; user < 4000; user++) {
    const options = { headers: { 'x-user': String(user) } }
    const from: string = await before.side(makeCall(options))
    const later: string = await after.side(makeCall(options))
    if (from !== later) moved++
    if (from === 'next') assert.equal(later, 'next')
  }
  near(moved, 400)
})

test('sticky by consumer follows who was proven to call', async () => {
  const { side } = build(half, 'consumer')
  const seen = new Map<string, Set<string>>()
  for (let i = 0; i < 200; i++) {
    const call = makeCall({ clientAddress: `192.0.2.${i}` })
    const id = `consumer ${i % 10}`
    const rest = { method: 'x', consumer: null, application: null, credential: '', scopes: [], claims: {} }
    call.facts.set(principal, { id, ...rest })
    const sides = seen.get(id) ?? new Set()
    seen.set(id, sides.add(await side(call)))
  }
  assert.ok([...seen.values()].every(sides => sides.size === 1))
  assert.equal(new Set([...seen.values()].flatMap(sides => [...sides])).size, 2)
})

test('calls without what makes them sticky are shared one by one', async () => {
  const counts = await shareOf(half, { header: 'x-user' }, () => ({}))
  near(counts['next'], 2000)
  const empty = await shareOf(half, { header: 'x-user' }, () => ({ headers: { 'x-user': '' } }))
  near(empty['next'], 2000)
})

test('a cookie keeps the client on its side; it is set where there is none, and only then', async () => {
  const { split, side } = build(half, { cookie: 'lane', set: 86_400_000 })
  for (let client = 0; client < 50; client++) {
    const first = await split(makeCall())
    const [field] = first.headers.all('set-cookie')
    assert.match(field ?? '', /^lane=[0-9a-z]{10}; Path=\/; Max-Age=86400; HttpOnly; SameSite=Lax$/)
    const wanted = (await first.body.bytes(100)).toString()
    const headers = { cookie: `a=b; ${field?.split(';')[0]}` }
    for (let i = 0; i < 3; i++) assert.equal(await side(makeCall({ headers })), wanted)
    assert.deepEqual((await split(makeCall({ headers }))).headers.all('set-cookie'), [])
  }
  const secure = await split(makeCall({ peer: { scheme: 'https' } }))
  assert.match(secure.headers.get('set-cookie') ?? '', /; Secure$/)
  const headers = { 'x-forwarded-proto': 'https' }
  const behindProxy = await split(makeCall({ headers, peer: { isTrusted: true } }))
  assert.match(behindProxy.headers.get('set-cookie') ?? '', /; Secure$/)
})

async function replyTo(reply: Reply): Promise<Reply['headers']> {
  const split = createSplit(half, { cookie: 'lane', set: 1000 }, () => async () => reply, Math.random)
  return (await split(makeCall())).headers
}

test('the cookie is for one client: caches are told so, and what came from no target sets none', async () => {
  const kept = await replyTo(Reply.empty(200))
  assert.deepEqual([kept.has('set-cookie'), kept.get('cache-control')], [true, 'no-cache="set-cookie"'])
  const own = Reply.empty(200)
  own.headers.add('set-cookie', 'session=1')
  assert.equal((await replyTo(own)).get('cache-control'), 'private')
  for (const reply of [Reply.problem('breaker-open'), Reply.empty(304)]) {
    const headers = await replyTo(reply)
    assert.deepEqual([headers.has('set-cookie'), headers.get('cache-control') === 'private'], [false, false])
  }
})

test('a cookie that the gateway does not set is the business of others', async () => {
  const { split } = build(half, { cookie: 'lane', set: null })
  assert.equal((await split(makeCall())).headers.has('set-cookie'), false)
})

test('every release chooses alike: clients stay when the gateway is updated', async () => {
  const { side } = build(
    [
      { to: 'stable', weight: 3 },
      { to: 'next', weight: 1 },
    ],
    { header: 'x-user' },
  )
  const sides = await Promise.all(
    Array.from({ length: 24 }, (_, user) => side(makeCall({ headers: { 'x-user': `user ${user}` } }))),
  )
  assert.equal(sides.map(name => name[0]).join(''), 'sssssssssssnsnsssssnsnss')
})

const refused = (sides: Side[], path: readonly (string | number)[]) =>
  assert.throws(
    () => checkSplit(sides),
    (thrown: unknown) => {
      assert.ok(thrown instanceof OptionsError)
      assert.deepEqual(thrown.path, path)
      return true
    },
  )

test('refuses sides that cannot be told apart or get nothing', () => {
  refused([...half, { to: 'stable', weight: 2 }], ['split', 2, 'to'])
  refused([{ to: 'stable', weight: 0 }], ['split'])
  checkSplit(half)
})
