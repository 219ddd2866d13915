import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reply } from '../core/reply.ts'
import { makeCall, makeNext } from '../../test/tools/call.ts'
import { answerChallenges } from './challenges.ts'

const answers = new Map([['token', 'token.thumbprint']])
const path = '/.well-known/acme-challenge/token'

function build() {
  const next = makeNext(() => Reply.empty(204))
  return { next, step: answerChallenges(() => answers, next) }
}

test('a challenge is answered before any route', async () => {
  const { next, step } = build()
  const reply = await step(makeCall({ target: path }))
  assert.equal(reply.status, 200)
  assert.equal(reply.headers.get('content-type'), 'application/octet-stream')
  assert.equal((await reply.body.bytes(100)).toString(), 'token.thumbprint')
  assert.equal(next.calls.length, 0)
})

for (const [what, call] of [
  ['another token', { target: `${path}s` }],
  ['no token', { target: '/.well-known/acme-challenge/' }],
  ['a path that leads on', { target: `${path}/` }],
  ['another path', { target: '/token' }],
  ['another method', { target: path, method: 'POST' }],
] as const) {
  test(`${what} goes on to the routes`, async () => {
    const { next, step } = build()
    assert.equal((await step(makeCall(call))).status, 204)
    assert.equal(next.calls.length, 1)
  })
}
