import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCall } from '../../test/tools/call.ts'
import { Body } from './body.ts'
import { defineFact } from './facts.ts'
import { Failure } from './failure.ts'

const colour = defineFact<string>('colour')

test('a copy is the same call, with fields, facts and an end of its own', () => {
  const call = makeCall({ method: 'PUT', target: '/users/7?x=1', pattern: '/users/{id}', headers: { 'x-a': '1' } })
  call.target = '/v2/7'
  call.clientAddress = '198.51.100.7'
  call.id = 'id'
  call.route = 'users'
  call.epoch = 3
  call.deadlineMs = 500
  call.retry = { attempts: 0, on: null }
  call.upgrade = 'websocket'
  call.facts.set(colour, 'red')
  const copy = call.copy(call.headers.clone(), Body.of('x'))
  const { headers, body, facts, upgrade, ...rest } = call
  const { headers: copied, body: _, facts: known, upgrade: none, ...others } = copy
  assert.deepEqual(others, rest)
  assert.deepEqual(copied, headers)
  assert.equal(none, '')
  assert.equal(copy.param('id'), '7')

  copied.set('x-a', '2')
  known.set(colour, 'blue')
  assert.deepEqual([headers.get('x-a'), facts.get(colour)], ['1', 'red'])
  copy.abandon(new Failure('call-timeout'))
  assert.equal(call.abandonReason, null)
  assert.equal(body.isEmpty, true)
  assert.equal(upgrade, 'websocket')
})

test('a copy of a call without facts has none', () => {
  assert.equal(makeCall().copy(makeCall().headers, Body.empty).facts.get(colour), undefined)
})

/** Something under way for a call, with the reasons why it was given up. */
function underWay() {
  const reasons: string[] = []
  return { reasons, abandoned: (reason: Failure) => void reasons.push(reason.code) }
}

const late = new Failure('call-timeout')
const overtaken = new Failure('client-closed')

test('giving its tries up stops what is under way, and what would follow, but not the call', () => {
  const call = makeCall()
  const [before, during, after, again] = [underWay(), underWay(), underWay(), underWay()]
  call.beginTry(before)
  call.endTry(before)
  call.beginTry(during)
  call.giveUpTries(overtaken)
  call.beginTry(after)
  assert.deepEqual(
    [before, during, after].map(({ reasons }) => reasons),
    [[], ['client-closed'], ['client-closed']],
  )
  assert.deepEqual([call.stopReason, call.abandonReason], [overtaken, null])
  call.mayTryAgain()
  assert.equal(call.stopReason, null)
  call.beginTry(again)
  call.abandon(late)
  assert.deepEqual([during.reasons, again.reasons], [['client-closed'], ['call-timeout']])
  assert.equal(call.stopReason, late)
})

test('a call that is given up tells those that listen first, then what is under way, each once', () => {
  const call = makeCall()
  const order: string[] = []
  call.beginTry({ abandoned: () => order.push('try') })
  call.onAbandon({ abandoned: () => order.push('listener') })
  call.abandon(late)
  call.abandon(overtaken)
  assert.deepEqual(order, ['listener', 'try'])
})
