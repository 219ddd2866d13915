import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import type { Application, Consumer } from '../../core/consumers.ts'
import { OptionsError } from '../../core/policy.ts'
import { principal, type Principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { acl } from './acl.ts'
import type { Rule } from './rule.ts'

const empty: Rule = {
  consumers: [],
  groups: [],
  labels: {},
  plans: [],
  applications: [],
  scopes: [],
  allScopes: [],
  methods: [],
}
const acme: Consumer = {
  id: 'c1',
  name: 'acme',
  groups: ['staff', 'eu'],
  labels: { tier: 'gold' },
  plan: 'pro',
  limits: {},
}
const web: Application = { id: 'a1', consumer: 'c1', name: 'web', labels: {} }
const caller: Principal = {
  method: 'jwt',
  id: 'c1',
  consumer: acme,
  application: web,
  credential: '',
  scopes: ['read', 'list'],
  claims: {},
}
const nobody: Principal = {
  ...caller,
  method: 'anonymous',
  id: 'anonymous',
  consumer: null,
  application: null,
  scopes: [],
}

const full = (rules: Partial<Rule>[]) => rules.map(rule => ({ ...empty, ...rule }))

async function run(allow: Partial<Rule>[], deny: Partial<Rule>[], who: Principal | null = caller) {
  const options = { allow: full(allow), deny: full(deny) }
  acl.check?.(options)
  const call = makeCall()
  if (who !== null) call.facts.set(principal, who)
  const next = makeNext(() => Reply.empty(204))
  const place = { route: 'r', key: 'r/policies/1/acl' }
  const reply = await acl.build(options, fakePorts(), place)(next)(call)
  assert.equal(next.calls.length, reply.status === 204 ? 1 : 0)
  return { status: reply.status, code: reply.code, challenge: reply.headers.get('www-authenticate'), call }
}

const fitting: Partial<Rule>[] = [
  { consumers: ['acme'] },
  { consumers: ['x', 'c1'] },
  { groups: ['eu'] },
  { labels: { tier: 'gold' } },
  { plans: ['free', 'pro'] },
  { applications: ['a1'] },
  { applications: ['acme/web'] },
  { scopes: ['write', 'read'] },
  { allScopes: ['read', 'list'] },
  { methods: ['jwt'] },
  { consumers: Array.from({ length: 50 }, (_, index) => `c${index}`) },
  { groups: ['staff'], plans: ['pro'], scopes: ['read'], methods: ['jwt', 'api-key'] },
]
const missing: Partial<Rule>[] = [
  { consumers: ['acm'] },
  { groups: ['us'] },
  { labels: { tier: 'silver' } },
  { labels: { constructor: 'x' } },
  { plans: ['free'] },
  { applications: ['web'] },
  { applications: ['other/web'] },
  { scopes: ['write'] },
  { allScopes: ['read', 'write'] },
  { methods: ['anonymous'] },
  { groups: ['staff'], plans: ['free'] },
]

describe('acl', () => {
  for (const rule of fitting) {
    test(`fits: ${JSON.stringify(rule).slice(0, 90)}`, async () => {
      assert.equal((await run([rule], [])).status, 204)
      assert.equal((await run([], [rule])).status, 403)
      if (rule.methods === undefined) assert.equal((await run([rule], [], nobody)).status, 403)
    })
  }
  for (const rule of missing) {
    test(`does not fit: ${JSON.stringify(rule)}`, async () => {
      assert.equal((await run([rule], [])).code, 'forbidden')
      assert.equal((await run([], [rule])).status, 204)
    })
  }

  test('deny wins', async () => {
    assert.equal((await run([{ consumers: ['acme'] }], [{ groups: ['eu'] }])).status, 403)
  })

  test('403: without a principal, whatever the rules', async () => {
    assert.equal((await run([], [{ methods: ['anonymous'] }], null)).status, 403)
  })

  test('a missing scope is told, where nothing else is missing', async () => {
    const wanted = 'Bearer error="insufficient_scope", scope="read write"'
    assert.equal((await run([{ groups: ['staff'], allScopes: ['read', 'write'] }], [])).challenge, wanted)
    assert.equal((await run([{ groups: ['us'], scopes: ['write'] }], [])).challenge, undefined)
    assert.equal((await run([{ groups: ['us'] }], [])).challenge, undefined)
  })

  test('rules that say nothing are errors', async () => {
    await assert.rejects(run([], []), OptionsError)
    await assert.rejects(run([{}], []), (error: OptionsError) => error.path.join() === 'allow,0')
    await assert.rejects(
      run([{ groups: ['x'] }], [{ groups: ['x'] }, {}]),
      (error: OptionsError) => error.path.join() === 'deny,1',
    )
  })

  test('whatever the rules, what a rule of deny fits does not pass', async () => {
    const rules = fc.array(fc.constantFrom(...fitting, ...missing), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(rules, rules, async (allow, deny) => {
        const expected = allow.some(rule => fitting.includes(rule)) && !deny.some(rule => fitting.includes(rule))
        assert.equal((await run(allow, deny)).status, expected ? 204 : 403)
      }),
    )
  })
})
