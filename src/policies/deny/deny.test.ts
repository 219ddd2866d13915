import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { deny } from './deny.ts'

type By = 'address' | 'consumer' | 'credential' | 'agent'

async function statusOf(by: By, lists: string[], denied: Record<string, string[]>): Promise<number> {
  const call = makeCall({ clientAddress: '10.1.2.3', headers: { 'User-Agent': 'bad/1.0' } })
  const consumer = { id: 'c1', name: 'acme', groups: [], labels: {}, plan: '', limits: {} }
  call.facts.set(principal, {
    method: 'api-key',
    id: 'c1',
    consumer,
    application: null,
    credential: 'k1',
    scopes: [],
    claims: {},
  })
  const next = makeNext(() => Reply.empty(200))
  const step = deny.build({ by, lists }, fakePorts({}, { denied }), { route: 'r', key: 'r/policies/0' })(next)
  const answer = await step(call)
  assert.equal(next.calls.length, answer.status === 200 ? 1 : 0)
  if (answer.status === 403) assert.equal(answer.code, 'denied')
  return answer.status
}

const table: [by: By, lists: string[], denied: Record<string, string[]>, status: number][] = [
  ['address', [], { address: ['10.1.2.3'] }, 403],
  ['address', [], { other: ['10.1.2.3'] }, 200],
  ['address', ['one', 'two'], { two: ['10.1.2.3'] }, 403],
  ['consumer', [], { consumer: ['acme'] }, 403],
  ['consumer', [], { consumer: ['c1'] }, 403],
  ['consumer', [], { consumer: ['k1'] }, 200],
  ['credential', [], { credential: ['k1'] }, 403],
  ['agent', [], { agent: ['bad/1.0'] }, 403],
  ['agent', [], { agent: ['bad'] }, 200],
]
for (const [by, lists, denied, status] of table) {
  test(`${status} ${by} ${lists.join()} ${JSON.stringify(denied)}`, async () => {
    assert.equal(await statusOf(by, lists, denied), status)
  })
}

test('needs the principal only where it is looked at', () => {
  assert.deepEqual(deny.needsFor?.({ by: 'address', lists: [] }), [])
  assert.deepEqual(deny.needsFor?.({ by: 'consumer', lists: [] }), [principal])
})
