import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import type { Consumer } from '../../core/consumers.ts'
import { definePolicy } from '../../core/policy.ts'
import { principal, type Principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { Type } from '../../core/schema.ts'
import { refuseUnauthenticated } from '../../identity/refuse.ts'
import { allOf } from './all-of.ts'

const acme: Consumer = { id: 'c1', name: 'acme', groups: [], labels: {}, plan: '', limits: {} }
const other: Consumer = { ...acme, id: 'c2', name: 'other' }

/** Proves what it is told; null refuses. */
const prove = definePolicy({
  name: 'prove',
  summary: 'Proves what it is told.',
  options: Type.Unsafe<Partial<Principal> | null>({}),
  gives: [principal],
  build: given => next => call => {
    if (given === null) return Promise.resolve(refuseUnauthenticated(call, 'Test', 'refused'))
    const { method = 'jwt', ...rest } = given
    const nobody = { consumer: null, application: null, credential: '', scopes: [], claims: {} }
    call.facts.set(principal, { method, id: method, ...nobody, ...rest })
    return next(call)
  },
})

async function run(...given: readonly (Partial<Principal> | null)[]) {
  const policies = given.map(options => ({ policy: 'prove', options }))
  const next = makeNext(() => Reply.empty(204))
  const place = { route: 'r', key: 'r/policies/0/all-of' }
  const call = makeCall()
  const reply = await allOf.build({ policies }, fakePorts({}, { policies: [prove] }), place)(next)(call)
  return { status: reply.status, call, who: call.facts.get(principal), asked: next.calls.length }
}

test('204: the principal is the first, with the claims of the others below their methods', async () => {
  const got = await run(
    { method: 'jwt', consumer: acme, scopes: ['read'], claims: { sub: 'x', certificate: 'forged' } },
    { method: 'certificate', consumer: { ...acme }, scopes: ['write'], claims: { subject: 'CN=acme' } },
  )
  assert.equal(got.status, 204)
  assert.deepEqual(got.who?.claims, { sub: 'x', certificate: { subject: 'CN=acme' } })
  assert.deepEqual([got.who?.method, got.who?.id, got.who?.scopes], ['jwt', 'c1', ['read']])
})

test('204: a consumer that only a later one names', async () => {
  const got = await run({ method: 'certificate' }, { method: 'api-key', consumer: acme })
  assert.deepEqual([got.status, got.who?.id, got.who?.consumer?.name], [204, 'c1', 'acme'])
})

test('401: one of them refuses, wherever it stands', async () => {
  for (const given of [
    [null, { consumer: acme }],
    [{ consumer: acme }, null],
  ]) {
    const got = await run(...given)
    assert.deepEqual([got.status, got.asked], [401, 0])
  }
})

test('403: different consumers, also behind one that names none', async () => {
  for (const given of [
    [{ consumer: acme }, { consumer: other }],
    [{}, { consumer: acme }, { consumer: other }],
  ]) {
    const got = await run(...given)
    assert.deepEqual([got.status, got.asked], [403, 0])
    assert.match(got.call.refusal, /different consumers/)
  }
})
