import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import { makeCall, ManualSource } from '../../../test/tools/call.ts'
import { defaults, fresh, makeWorld, type Options, replyOf } from '../../../test/tools/cache-world.ts'
import { cache } from './cache.ts'

/** A reply whose body the test pushes. */
function pushed(headers: Record<string, string> = fresh, length = -1) {
  const { body, source } = ManualSource.body(length)
  return { source, reply: new Reply(200, Headers.of(headers), body) }
}

describe('purges', () => {
  const targets = ['/a', '/a?x=1', '/ab', '/b']
  const filled = async (given: Partial<Options> = {}) => {
    const world = makeWorld(given, call =>
      replyOf({ headers: { ...fresh, 'cache-tag': `all, path${call.path}`, 'surrogate-key': 'one two' } }),
    )
    for (const target of targets) await world.step(makeCall({ target }))
    await world.step(makeCall({ target: '/a', host: 'b.test:8080' }))
    return world
  }
  const cases = [
    ['url', '/a', 2],
    ['url', '//api.acme.test/a', 1],
    ['url', '//b.test/a', 1],
    ['url', '//B.test:8080/a', 1],
    ['url', '/a?x=1', 1],
    ['prefix', '/a', 4],
    ['prefix', '//api.acme.test/a', 3],
    ['prefix', '//api.acme.test', 4],
    ['prefix', '/none\n', 0],
    ['url', '/none\n', 0],
    ['tag', 'path/a', 3],
    ['tag', 'two', 5],
    ['tag', 'on', 0],
    ['route', '', 5],
    ['route', 'other', 0],
    ['all', '', 5],
  ] as const
  for (const [by, value, count] of cases) {
    test(`${by} ${value}: ${count} of 5`, async () => {
      const world = await filled()
      assert.equal(world.ports.purges.purge({ by, value }), count)
      const before = world.calls.length
      for (const target of targets) await world.step(makeCall({ target }))
      await world.step(makeCall({ target: '/a', host: 'b.test:8080' }))
      assert.equal(world.calls.length - before, count)
    })
  }

  test('a URL is purged as the key has it', async () => {
    const key = { ...defaults.key, query: { only: null, ignore: ['utm'], sort: true } }
    const world = await filled({ key })
    await world.step(makeCall({ target: '/c?b=1&a=1' }))
    assert.equal(world.ports.purges.purge({ by: 'url', value: '/c?utm=x&a=1&b=1' }), 1)
  })

  for (const [title, purge, isKept] of [
    ['what is on its way is not kept when it was purged', { by: 'tag', value: 'news' }, false],
    ['… but when something else was', { by: 'tag', value: 'olds' }, true],
    ['… by its URL', { by: 'url', value: '/' }, false],
  ] as const) {
    test(title, async () => {
      const { source, reply } = pushed({ ...fresh, 'cache-tag': 'news' })
      const replies = [reply]
      const world = makeWorld({}, () => replies.shift() ?? replyOf({ headers: fresh }))
      await world.step(makeCall())
      world.ports.purges.purge(purge)
      source.push('hello')
      source.sink?.end(null)
      await world.step(makeCall())
      assert.equal(world.calls.length, isKept ? 1 : 2)
    })
  }

  test('a change of the path while the reply is on its way keeps it out', async () => {
    const { source, reply } = pushed()
    const replies = [reply]
    const world = makeWorld({}, () => replies.shift() ?? replyOf({ headers: fresh }))
    await world.step(makeCall())
    await world.step(makeCall({ method: 'POST' }))
    source.push('old')
    source.sink?.end(null)
    await world.step(makeCall())
    assert.equal(world.calls.length, 3)
  })

  test('another cache in the same worker sees what this one changed', async () => {
    const world = makeWorld({}, () => replyOf({ headers: fresh }))
    await world.step(makeCall({ target: '/a' }))
    const other = cache.build(defaults, world.ports, { route: 'writes', key: 'writes/policies/0' })
    await other(async () => Reply.empty(204))(makeCall({ method: 'PUT', target: '/a' }))
    await world.step(makeCall({ target: '/a' }))
    assert.equal(world.calls.length, 2)
  })
})
