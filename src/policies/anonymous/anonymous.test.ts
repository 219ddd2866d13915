import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { stacked } from '../../../test/tools/stacked.ts'
import type { Consumer } from '../../core/consumers.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { anonymous } from './anonymous.ts'

const guest: Consumer = { id: 'c9', name: 'guest', groups: ['free'], labels: {}, plan: '', limits: {} }
const place = { route: 'r', key: 'r/policies/0/anonymous' }

async function run(consumer: string | null, isLate = false) {
  const base = fakePorts({}, { consumers: { guest } })
  const find = (name: string) => base.identities.consumer(name)
  const identities = {
    ...base.identities,
    consumer: (name: string) => (isLate ? Promise.resolve(find(name)) : find(name)),
  }
  const next = makeNext(() => Reply.empty(204))
  const options = { consumer, forward: { 'X-Who': 'id' } }
  const call = makeCall({ headers: { 'x-who': 'root' } })
  const reply = await stacked(anonymous, options, { ...base, identities }, place, next)(call)
  return { status: reply.status, call, who: call.facts.get(principal), asked: next.calls.length }
}

test('204: nobody', async () => {
  const { status, call, who } = await run(null)
  assert.deepEqual([status, who?.method, who?.id, who?.consumer], [204, 'anonymous', 'anonymous', null])
  assert.deepEqual(call.headers.all('x-who'), ['anonymous'])
})

test('204: as a consumer, known now or later', async () => {
  for (const isLate of [false, true]) {
    const { status, who } = await run('guest', isLate)
    assert.deepEqual([status, who?.id, who?.consumer], [204, 'c9', guest])
  }
})

test('403: a consumer that does not exist lets nobody in', async () => {
  for (const isLate of [false, true]) {
    const { status, asked, call } = await run('gone', isLate)
    assert.deepEqual([status, asked, call.refusal], [403, 0, 'anonymous: there is no consumer gone'])
  }
})
