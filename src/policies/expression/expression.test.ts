import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { OptionsError } from '../../core/policy.ts'
import { principal, type Principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { expression } from './expression.ts'

const who: Principal = {
  ...{ method: 'jwt', id: 'https://id.acme.test|alice', application: null, credential: '' },
  consumer: { id: 'c1', name: 'acme', groups: ['staff'], labels: { tier: 'gold' }, plan: 'pro', limits: {} },
  scopes: ['read', 'write'],
  claims: { sub: 'alice', level: 5, tenant: 't1', roles: ['admin', 'user'], nested: { deep: true } },
}

async function ask(allow: string, options: CallOptions = {}, given: Principal | null = who) {
  const next = makeNext(() => Reply.empty(204))
  const call = makeCall(options)
  if (given !== null) call.facts.set(principal, given)
  const step = expression.build({ allow }, fakePorts(), { route: 'r', key: 'r/0' })(next)
  const { status, code } = await step(call)
  return { status, code, isPassed: next.calls.length === 1, refusal: call.refusal }
}

describe('204', () => {
  for (const text of [
    'true',
    'request.method == "GET" && request.path.startsWith("/orders/")',
    'request.headers["x-team"] == "blue"',
    'request.query.page == "2" && request.host == "api.acme.test" && request.scheme == "http"',
    'client.address == "192.0.2.1"',
    'params.id == "7"',
    'principal.claims.level > 3 && principal.claims.level >= 5.0',
    'principal.claims.roles.exists(r, r == "admin")',
    '"write" in principal.scopes && principal.consumer.plan == "pro"',
    'principal.consumer.groups.all(g, g.startsWith("st")) && principal.consumer.labels.tier == "gold"',
    'has(principal.claims.nested) && principal.claims.nested.deep',
    '!has(principal.application)',
    'now > timestamp("2025-01-01T00:00:00Z")',
    'size(principal.claims.roles) == 2 ? true : false',
  ]) {
    test(text, async () => {
      const target = '/orders/7?page=2&page=3'
      const options = {
        target,
        pattern: '/orders/{id}',
        headers: { 'X-Team': 'blue' },
        peer: { scheme: 'http' },
      } as const
      const { isPassed, refusal } = await ask(text, options)
      assert.ok(isPassed, refusal)
    })
  }
})

describe('403', () => {
  for (const text of [
    'false',
    'request.headers["x-absent"] == "blue"',
    'request.headers.__proto__ == "x" || request.headers.constructor == "x"',
    'principal.claims.level > "3"',
    'principal.claims.roles',
    'principal.claims.sub',
    'principal.claims["constructor"] != "x"',
    'principal.claims.absent != "x"',
  ]) {
    test(text, async () => {
      const { status, isPassed, code } = await ask(text)
      assert.deepEqual([status, isPassed, code], [403, false, 'forbidden'])
    })
  }

  test('nobody is known', async () => {
    const { isPassed } = await ask('principal.claims.sub != ""', {}, null)
    assert.equal(isPassed, false)
  })
})

describe('a mistake in the config', () => {
  for (const [text, words] of [
    ['1 +', /cannot be used/],
    ['nobody == 1', /Unknown variable: nobody/],
    ['request.path.matches("(a+)+$")', /may not use `matches`/],
    ['principal.claims.roles.map(r, r + r) == []', /may not use `map`/],
    ['principal.claims.roles.exists(a, principal.claims.roles.exists(b, a == b))', /inside another loop/],
    ['request.path + "x"', /comes to|cannot be used/],
    ['"text"', /comes to string/],
    [Array.from({ length: 220 }, () => 'true').join('&&'), /cannot be used/],
    [' '.repeat(3000), /more than 2000/],
    ['request.methd == "GET"', /`request` has no `methd`/],
    ['has(principal.claim)', /`principal` has no `claim`/],
    ['["a"].exists(x, client.adress == x)', /`client` has no `adress`/],
  ] as const) {
    test(text.slice(0, 60), () => {
      assert.throws(
        () => expression.check?.({ allow: text }),
        (error: unknown) => error instanceof OptionsError && words.test(error.message),
      )
    })
  }

  test('the principal is needed only by those that mention it', () => {
    assert.deepEqual(expression.needsFor?.({ allow: 'request.method == "GET"' }), [])
    assert.deepEqual(expression.needsFor?.({ allow: 'principal.id == "a"' }), [principal])
  })
})

test('whatever the claims are, a call passes only where the comparison holds', async () => {
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), async (rest, role) => {
      const claims = { ...rest, role }
      const { isPassed } = await ask('principal.claims.role == "admin"', {}, { ...who, claims })
      assert.equal(isPassed, role === 'admin')
    }),
  )
})

test('whatever is written, it is an expression or a clear mistake', () => {
  const words = [
    'request',
    '.',
    'path',
    '==',
    '"a"',
    '(',
    ')',
    '&&',
    '!',
    '[',
    ']',
    'in',
    'principal',
    'exists',
    ',',
    '1',
    '?',
    ':',
    '{',
    '}',
    '\u0000',
    '\\',
  ]
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 12 }), parts => {
      try {
        expression.check?.({ allow: parts.join(' ') })
      } catch (error) {
        assert.ok(error instanceof OptionsError, String(error))
      }
    }),
  )
})
