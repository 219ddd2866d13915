import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LimitStore } from '../../core/limits.ts'
import { Reply } from '../../core/reply.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { refuseGuess } from '../../identity/refuse.ts'
import { createGuessReader } from './guess.ts'
import { throttle } from './throttle.ts'

const place = { route: 'r', key: 'r/policies/0' }

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

function build(guesses = 100) {
  const ports = fakePorts({}, { limits: countingStore })
  const isKnown = { value: false }
  const next = makeNext(() => (isKnown.value ? Reply.empty(200) : Reply.problem('unauthenticated')))
  const rates = { failures: { count: 3, windowMs: 60_000 }, guesses: { count: guesses, windowMs: 60_000 } }
  const step = throttle.build({ ...rates, header: 'x-api-key', retryAfter: 60_000, callers: 64 }, ports, place)(next)
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
    const options = { ...rates, header: 'x-api-key', retryAfter: 60_000, callers: 64 }
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

test('calls that succeed, or bring nothing, cost nothing', async () => {
  const { status, isKnown } = build()
  for (let i = 0; i < 9; i++) assert.equal(await status({}), 401)
  isKnown.value = true
  for (let i = 0; i < 9; i++) assert.equal(await status({ headers: { 'x-api-key': 'good' } }), 200)
})

test('what is guessed at holds no whole key and no password', () => {
  const read = createGuessReader('X-Api-Key')
  const of = (headers: Record<string, string>) => read(makeCall({ headers }))
  assert.equal(of({ 'x-api-key': 'tpk_abcdefghijkl' }), 'key tpk_abcd')
  assert.equal(of({ authorization: `Basic ${Buffer.from('ada:secret').toString('base64')}` }), 'user ada')
  assert.equal(of({ authorization: 'Bearer abc' }), null)
  assert.equal(of({}), null)
})
