// Policies inside policies over the wire: who gets in, and what refusals look like.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ask, codeOf } from '../tools/ask.ts'
import { Program } from '../tools/program.ts'

let program: Program
before(async () => {
  program = await Program.start({
    routes: [
      {
        match: { path: '/open' },
        policies: [{ 'any-of': [{ anonymous: 'nobody-of-this-name' }, { 'all-of': ['anonymous', 'anonymous'] }] }],
        reply: { body: 'in' },
      },
      {
        match: { path: '/members' },
        policies: ['anonymous', { acl: { allow: { methods: 'anonymous', scopes: ['read'] } } }],
        reply: { body: 'in' },
      },
      {
        match: { path: '/gone' },
        policies: [{ 'any-of': [{ anonymous: 'gone' }, { anonymous: 'lost' }] }],
        reply: { body: 'in' },
      },
    ],
  })
})
after(() => program[Symbol.asyncDispose]())

test('200: the first alternative fails, the second is made of two', async () => {
  const got = await ask(program.port, { path: '/open' })
  assert.deepEqual([got.status, got.text], [200, 'in'])
})

test('403 forbidden: a scope is missing, and the caller is told which', async () => {
  const got = await ask(program.port, { path: '/members' })
  assert.deepEqual([got.status, codeOf(got)], [403, 'forbidden'])
  assert.equal(got.headers['www-authenticate'], 'Bearer error="insufficient_scope", scope="read"')
})

test('403 forbidden: every alternative fails', async () => {
  assert.equal((await ask(program.port, { path: '/gone' })).status, 403)
})
