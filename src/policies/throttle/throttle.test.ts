import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LimitStore } from '../../core/limits.ts'
import { Reply } from '../../core/reply.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { refuseGuess } from '../../identity/refuse.ts'
import { createGuessReader } from './guess.ts'
import { throttle } from './throttle.ts'

const place = { route: 'r', key: 'r/policies/0' }
const usual = { header: ['x-api-key'], query: [] as string[], cookie: [] as string[] }

/** Counts without a window. */
function countingStore(): LimitStore {
  const counts = new Map<string, number>()
  return {
    take(key, [rule], cost) {
      const count = counts.get(key) ?? 0
      const limit = rule?.limit ?? 0
      const isAllowed = count + Math.max(cost, 1) <= limit
      if (isAllowed) counts.set(key, count + cost)
      const retryMs = isAllowed ? 0 : 90_000
      return { isAllowed, standings: [{ remaining: 0, resetMs: 0, retryMs }], fallback: null, atMs: 0 }
    },
    correct: () => {},
  }
}

function build(guesses = 100, places: Partial<typeof usual> = {}) {
  const ports = fakePorts({}, { limits: countingStore })
  const isKnown = { value: false }
  const next = makeNext(() => (isKnown.value ? Reply.empty(200) : Reply.problem('unauthenticated')))
  const rates = { failures: { count: 3, windowMs: 60_000 }, guesses: { count: guesses, windowMs: 60_000 } }
  const options = { ...rates, ...usual, ...places, retryAfter: 60_000, callers: 64 }
  const step = throttle.build(options, ports, place)(next)
  const status = async (options: CallOptions) => (await step(makeCall(options))).status
  return { step, next, isKnown, status }
}

test('429 after so many failures of one address, without asking further', async () => {
  const { step, next, status } = build()
  for (let i = 0; i < 3; i++) assert.equal(await status({ headers: { 'x-api-key': `guess-${i}-aaaa` } }), 401)
  const refused = await step(makeCall({ headers: { 'x-api-key': 'good' } }))
  assert.equal(refused.status, 429)
  assert.equal(refused.headers.get('retry-after'), '60')
  assert.equal(next.calls.length, 3)
  assert.equal(await status({ clientAddress: '192.0.2.9', headers: { 'x-api-key': 'other' } }), 401)
})

for (const [what, answer] of [
  ['passes by another credential', () => Reply.empty(200)],
  ['is refused for what another one lacks', () => Reply.problem('insufficient-scope')],
] as const) {
  test(`a wrong password is a guess, also where the call ${what}`, async () => {
    const ports = fakePorts({}, { limits: countingStore })
    const rates = { failures: { count: 3, windowMs: 60_000 }, guesses: { count: 100, windowMs: 60_000 } }
    const next = makeNext(call => {
      refuseGuess(call, 'Basic', 'the password is wrong')
      return answer()
    })
    const options = { ...rates, ...usual, retryAfter: 60_000, callers: 64 }
    const step = throttle.build(options, ports, place)(next)
    const statuses: number[] = []
    for (let i = 0; i < 5; i++) {
      const headers = { 'x-api-key': 'good', authorization: basic(`bob:guess${i}`) }
      statuses.push((await step(makeCall({ headers }))).status)
    }
    const { status } = answer()
    assert.deepEqual(statuses, [status, status, status, 429, 429])
  })
}

test('of guesses that come at once no more are looked at', async () => {
  const ports = fakePorts({}, { limits: countingStore })
  const rates = { failures: { count: 3, windowMs: 60_000 }, guesses: { count: 100, windowMs: 60_000 } }
  const next = makeNext(call => refuseGuess(call, 'ApiKey', 'the key is unknown'))
  const step = throttle.build({ ...rates, ...usual, retryAfter: 60_000, callers: 64 }, ports, place)(next)
  const guesses = Array.from({ length: 10 }, (_, i) => step(makeCall({ headers: { 'x-api-key': `${i}-guess-aaaa` } })))
  const statuses = (await Promise.all(guesses)).map(({ status }) => status)
  assert.deepEqual(statuses, [...Array<number>(3).fill(401), ...Array<number>(7).fill(429)])
  assert.equal(next.calls.length, 3)
})

const fromHost = (host: string): CallOptions => ({
  clientAddress: `2001:db8:1:2::${host}`,
  headers: { 'x-api-key': host },
})

test('an IPv6 client is its /64', async () => {
  const { status } = build()
  for (const host of ['1', '2', '3']) assert.equal(await status(fromHost(host)), 401)
  assert.equal(await status(fromHost('4')), 429)
})

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

test('guesses at one user or at keys that begin alike are counted over all addresses', async () => {
  for (const field of ['authorization', 'x-api-key']) {
    const { status } = build(2)
    const from = (i: number): CallOptions => ({
      clientAddress: `192.0.2.${i}`,
      headers: { [field]: field === 'x-api-key' ? `tpk_abcd${i}` : basic(`ada:${i}`) },
    })
    for (let i = 0; i < 2; i++) assert.equal(await status(from(i)), 401)
    assert.equal(await status(from(3)), 429)
    assert.equal(await status({ clientAddress: '192.0.2.9', headers: { [field]: 'else' } }), 401)
  }
})

const everywhere = { header: ['x-api-key', 'authorization'], query: ['key'], cookie: ['key'] }
const bringing: readonly (readonly [where: string, (key: string) => CallOptions])[] = [
  ['Bearer', key => ({ headers: { authorization: `Bearer ${key}` } })],
  ['ApiKey', key => ({ headers: { authorization: `ApiKey ${key}` } })],
  ['the query', key => ({ target: `/?a=1&key=${key}` })],
  ['a cookie', key => ({ headers: { cookie: `a=1; key=${key}` } })],
]
for (const [where, brought] of bringing) {
  test(`keys in ${where} are counted by how they begin, and those that begin otherwise are not`, async () => {
    const { status } = build(2, everywhere)
    const guess = (key: string, i: number) => status({ clientAddress: `192.0.2.${i}`, ...brought(key) })
    for (let i = 0; i < 2; i++) assert.equal(await guess(`tpk_abcd${i}`, i), 401)
    assert.equal(await guess('tpk_abcd9', 9), 429)
    assert.equal(await guess('tpk_efgh1', 9), 401)
  })
}

test('a credential that is made up beside it hides no guess', async () => {
  for (const [name, before] of [
    ['x-api-key', ''],
    ['cookie', 'key='],
  ] as const) {
    const { status } = build(2, everywhere)
    const from = (i: number): CallOptions => ({
      clientAddress: `192.0.2.${i}`,
      headers: { authorization: basic(`ada:${i}`), [name]: `${before}${i}-made-up` },
    })
    for (let i = 0; i < 2; i++) assert.equal(await status(from(i)), 401)
    assert.equal(await status(from(3)), 429)
  }
})

test('calls that succeed, or bring nothing, cost nothing', async () => {
  const { status, isKnown } = build()
  for (let i = 0; i < 9; i++) assert.equal(await status({}), 401)
  isKnown.value = true
  for (let i = 0; i < 9; i++) assert.equal(await status({ headers: { 'x-api-key': 'good' } }), 200)
})

test('what is guessed at holds no whole key, no password and no token', () => {
  const read = createGuessReader(everywhere)
  const of = (headers: Record<string, string>) => read(makeCall({ headers }))
  assert.deepEqual(of({ 'x-api-key': 'tpk_abcdefghijkl' }), ['key tpk_abcd'])
  assert.deepEqual(of({ authorization: `Basic ${Buffer.from('ada:secret').toString('base64')}` }), ['user ada'])
  assert.deepEqual(of({ authorization: 'Bearer abc', 'x-api-key': 'def' }), ['key def', 'key abc'])
  assert.deepEqual(of({ authorization: 'Bearer eyJhbGciOiJFUzI1NiJ9.e30.AAAA' }), [])
  assert.deepEqual(of({}), [])
  assert.deepEqual(createGuessReader(usual)(makeCall({ headers: { authorization: 'Bearer abc' } })), [])
})
