import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { definePolicy } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { Type } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { refuseUnauthenticated } from '../../identity/refuse.ts'
import { allOf } from '../all-of/all-of.ts'
import { anyOf } from './any-of.ts'

type Deed = 'pass' | 'pass-later' | 'refuse' | 'refuse-later' | 'down' | 'throw' | 'redirect' | 'busy'

/** Does as it is told; leaves traces on the call first. */
const puppet = definePolicy({
  name: 'puppet',
  summary: 'Does as it is told.',
  options: Type.Unsafe<{ name: string; deed: Deed }>({}),
  gives: [principal],
  build:
    ({ name, deed }) =>
    next =>
      function puppet(call) {
        call.headers.delete('x-key')
        call.headers.add(`x-${name}`, 'was here')
        call.target = `/${name}`
        const pass = () => {
          call.facts.set(principal, {
            method: name,
            id: name,
            consumer: null,
            application: null,
            credential: '',
            scopes: [],
            claims: {},
          })
          return next(call)
        }
        if (deed === 'pass') return pass()
        if (deed === 'pass-later') return new Promise(resolve => setImmediate(resolve)).then(pass)
        if (deed === 'refuse') return Promise.resolve(refuseUnauthenticated(call, `Test realm="${name}"`, name))
        if (deed === 'refuse-later') {
          return new Promise(resolve => setImmediate(resolve)).then(() =>
            refuseUnauthenticated(call, `Test realm="${name}"`, name),
          )
        }
        if (deed === 'down') return Promise.resolve(Reply.empty(503))
        if (deed === 'busy') return Promise.resolve(Reply.empty(429))
        if (deed === 'redirect') return Promise.resolve(Reply.empty(302))
        throw new Failure('internal', { detail: name })
      },
})

const place = { route: 'r', key: 'r/policies/0/any-of' }
const ports = () => fakePorts({}, { policies: [puppet, anyOf, allOf] })
const part = (name: string, deed: Deed) => ({ policy: 'puppet', options: { name, deed } })

function build(deeds: readonly Deed[], next: Step): Step {
  const policies = deeds.map((deed, index) => part(String.fromCharCode(97 + index), deed))
  return anyOf.build({ policies }, ports(), place)(next)
}

const ok = () => makeNext(() => Reply.empty(204))
const withKey = () => makeCall({ target: '/start', headers: { 'X-Key': 'secret' } })
const who = (call: Call) => call.facts.get(principal)?.id

describe('any-of', () => {
  for (const deed of ['pass', 'pass-later'] as const) {
    test(`${deed}: the first that succeeds decides, and no other is asked`, async () => {
      const next = ok()
      const call = withKey()
      assert.equal((await build([deed, 'throw'], next)(call)).status, 204)
      assert.deepEqual([next.calls.length, who(call)], [1, 'a'])
    })

    test(`${deed} after others: they left nothing on the call`, async () => {
      const call = withKey()
      const reply = await build(['refuse', 'down', 'throw', 'refuse-later', deed], ok())(call)
      assert.deepEqual([reply.status, who(call), call.refusal, call.target], [204, 'e', '', '/e'])
      for (const name of ['x-a', 'x-b', 'x-c', 'x-d']) assert.ok(!call.headers.has(name))
    })
  }

  test('what one alternative took off the call, the next still finds', async () => {
    const call = withKey()
    assert.equal((await build(['refuse', 'refuse-later'], ok())(call)).status, 401)
    assert.equal(call.headers.get('x-key'), 'secret')
    assert.equal(call.target, '/start')
  })

  test('401: the challenges and reasons of all', async () => {
    const call = withKey()
    const reply = await build(['refuse', 'refuse-later', 'refuse'], ok())(call)
    assert.equal(reply.status, 401)
    assert.deepEqual(reply.headers.all('www-authenticate'), ['Test realm="a"', 'Test realm="b"', 'Test realm="c"'])
    assert.equal(call.refusal, 'a; b; c')
  })

  test('503 rather than 401, 429 rather than 401', async () => {
    for (const [deeds, status] of [
      [['refuse', 'down'], 503],
      [['down', 'refuse'], 503],
      [['refuse', 'busy'], 429],
      [['busy', 'down'], 503],
    ] as const) {
      assert.equal((await build(deeds, ok())(withKey())).status, status)
    }
    await assert.rejects(build(['throw', 'refuse'], ok())(withKey()), Failure)
  })

  test('a redirect is an answer', async () => {
    assert.equal((await build(['refuse', 'redirect', 'pass'], ok())(withKey())).status, 302)
  })

  test('a 401, 503 or failure from further in is no failure of the alternative', async () => {
    for (const deed of ['pass', 'pass-later'] as const) {
      for (const status of [401, 503]) {
        const next = makeNext(() => Reply.empty(status))
        assert.equal((await build([deed, 'pass'], next)(withKey())).status, status)
        assert.equal(next.calls.length, 1)
      }
      const failing = makeNext(() => Promise.reject(new Failure('upstream-reset')))
      await assert.rejects(build(['refuse', deed, 'pass'], failing)(withKey()), { code: 'upstream-reset' })
      assert.equal(failing.calls.length, 1)
    }
  })

  test('a call that its client gave up asks no more', async () => {
    const call = withKey()
    call.abandon(new Failure('client-closed'))
    await assert.rejects(build(['throw', 'pass'], ok())(call))
  })

  test('all-of inside any-of inside any-of', async () => {
    const inner = { policy: 'any-of', options: { policies: [part('a', 'refuse'), part('b', 'pass-later')] } }
    const both = { policy: 'all-of', options: { policies: [inner, part('c', 'pass')] } }
    const half = { policy: 'all-of', options: { policies: [part('d', 'pass'), part('e', 'refuse')] } }
    const call = withKey()
    const step = anyOf.build({ policies: [half, both] }, ports(), place)(ok())
    assert.equal((await step(call)).status, 204)
    assert.equal(who(call), 'b')
    assert.deepEqual(call.facts.get(principal)?.claims, { c: {} })
    assert.ok(!call.headers.has('x-d') && !call.headers.has('x-a'))
  })

  test('next is called exactly once where one passes before a redirect, and never otherwise', async () => {
    const deeds = fc.constantFrom<Deed>(
      'pass',
      'pass-later',
      'refuse',
      'refuse-later',
      'down',
      'throw',
      'redirect',
      'busy',
    )
    await fc.assert(
      fc.asyncProperty(fc.array(deeds, { minLength: 2, maxLength: 5 }), async list => {
        const next = ok()
        const call = withKey()
        const deciding = list.findIndex(deed => deed.startsWith('pass') || deed === 'redirect')
        const passes = list[deciding]?.startsWith('pass') === true
        const status = await build(
          list,
          next,
        )(call).then(
          reply => reply.status,
          () => 500,
        )
        assert.equal(next.calls.length, passes ? 1 : 0)
        assert.equal(status === 204, passes)
      }),
    )
  })
})
