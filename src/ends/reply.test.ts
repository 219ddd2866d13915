import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionsError } from '../core/policy.ts'
import { fakePorts, makeCall } from '../../test/tools/call.ts'
import { reply } from './reply.ts'

const place = { route: 'r', key: 'r/end' }
const defaults = { status: 200, headers: {}, body: null, json: null }

function build(options: Partial<Parameters<typeof reply.build>[0]>) {
  const given = { ...defaults, ...options }
  reply.check?.(given)
  return reply.build(given, fakePorts(), place)
}

test('without options: 200 and nothing', async () => {
  const answer = await build({})(makeCall())
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.size, 0)
  assert.ok(answer.body.isEmpty)
})

test('body: a text, sent as it stands', async () => {
  const step = build({ status: 418, body: 'I am {a} teapot ☕' })
  for (let i = 0; i < 2; i++) {
    const answer = await step(makeCall())
    assert.equal(answer.status, 418)
    assert.deepEqual([...answer.headers], [['content-type', 'text/plain; charset=utf-8']])
    assert.equal(String(await answer.body.bytes(100)), 'I am {a} teapot ☕')
  }
})

test('json: any value', async () => {
  for (const json of [{ a: [1, 'x'] }, [], 0, false, 'text']) {
    const answer = await build({ json })(makeCall())
    assert.equal(answer.headers.get('content-type'), 'application/json')
    assert.deepEqual(await answer.body.json(100), json)
  }
})

test('headers: with placeholders, and a content type of its own', async () => {
  const headers = { 'Content-Type': 'text/html', 'x-id': 'user {id}' }
  const answer = await build({ headers, body: '<p>' })(makeCall({ target: '/users/7', pattern: '/users/{id}' }))
  assert.deepEqual(
    [...answer.headers],
    [
      ['Content-Type', 'text/html'],
      ['x-id', 'user 7'],
    ],
  )
})

test('each reply has headers of its own', async () => {
  const step = build({ body: 'pong' })
  const first = await step(makeCall())
  first.headers.add('x-more', '1')
  assert.equal((await step(makeCall())).headers.has('x-more'), false)
})

test('refuses what cannot be sent', () => {
  const cases = [
    { options: { body: 'a', json: 1 }, at: ['json'] },
    { options: { status: 204, body: 'a' }, at: ['body'] },
    { options: { status: 304, json: {} }, at: ['json'] },
    { options: { headers: { 'Content-Length': '3' } }, at: ['headers', 'Content-Length'] },
    { options: { headers: { 'a b': 'c' } }, at: ['headers', 'a b'] },
  ]
  for (const { options, at } of cases) {
    assert.throws(
      () => reply.check?.({ ...defaults, ...options }),
      (thrown: unknown) => {
        assert.ok(thrown instanceof OptionsError)
        assert.deepEqual(thrown.path, at)
        return thrown.hint !== ''
      },
    )
  }
})
