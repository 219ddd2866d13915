import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import type { PermitStore } from '../../core/permits.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import type { Static } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { fakePorts, makeCall, makeNext, ManualSource, RecordingSink } from '../../../test/tools/call.ts'
import { concurrency } from './concurrency.ts'

const place = { route: 'r', key: 'r/policies/0' }

function build(next: Step, options: Partial<Static<typeof concurrency.options>> = {}) {
  const ports = fakePorts()
  const defaults = {
    limit: 1,
    by: ['route' as const],
    ipv6Prefix: 64,
    groups: {},
    plans: {},
    name: '',
    retryAfter: 1000,
    store: null,
    mode: 'exact' as const,
    onFailure: 'local-share' as const,
  }
  const given = { ...defaults, ...options }
  const step = concurrency.build(given, ports, place)(next)
  return {
    step,
    taken: (key = '') => ports.taken.get(`${given.name === '' ? place.key : `concurrency/${given.name}`}${key}`),
  }
}

function neverAnswer(): Step {
  return () => new Promise(() => {})
}

test('503 with Retry-After when the limit is reached', async () => {
  const { step, taken } = build(neverAnswer(), { limit: 2, retryAfter: 2500 })
  void step(makeCall())
  void step(makeCall())
  const refused = await step(makeCall())
  assert.equal(refused.status, 503)
  assert.equal(refused.code, 'concurrency-exceeded')
  assert.equal(refused.headers.get('retry-after'), '3')
  assert.equal(taken(), 2)
})

test('by client: each address has its own', async () => {
  const { step, taken } = build(neverAnswer(), { by: ['client'] })
  void step(makeCall({ clientAddress: '192.0.2.1' }))
  void step(makeCall({ clientAddress: '192.0.2.2' }))
  assert.equal((await step(makeCall({ clientAddress: '192.0.2.1' }))).status, 503)
  assert.equal(taken('/192.0.2.1'), 1)
  assert.equal(taken('/192.0.2.2'), 1)
})

const callOf = (id: string, plan = '', limits = {}) => {
  const call = makeCall()
  const consumer = { id, name: id, groups: [], labels: {}, plan, limits }
  call.facts.set(principal, {
    ...{ method: 'api-key', id, consumer, application: null, credential: '', scopes: [], claims: {} },
  })
  return call
}

test('by consumer: each has its own, and as many as its plan or it itself is allowed', () => {
  const { step, taken } = build(neverAnswer(), { by: ['consumer'], plans: { gold: 3 }, name: 'calls' })
  for (let index = 0; index < 5; index++) {
    void step(callOf('a'))
    void step(callOf('b', 'gold'))
    void step(callOf('c', 'gold', { calls: '2' }))
  }
  const counts = ['a', 'b', 'c'].map(id => taken(`/${id}`))
  assert.deepEqual(counts, [1, 3, 2])
})

test('the principal is needed where it is used, and only there', () => {
  const base = {
    limit: 1,
    ipv6Prefix: 64,
    groups: {},
    plans: {},
    name: '',
    retryAfter: 1,
    store: null,
    mode: 'exact',
    onFailure: 'closed',
  } as const
  assert.deepEqual(concurrency.needsFor?.({ ...base, by: ['client'] }), [])
  assert.deepEqual(concurrency.needsFor?.({ ...base, by: ['client', 'consumer'] }), [principal])
})

const outcomeOf = (isAllowed: boolean, fallback: 'open' | 'closed' | null, gives: string[]) => ({
  isAllowed,
  fallback,
  give: () => void gives.push('given'),
})

function withStore(take: PermitStore['take'], next: Step) {
  const asked: unknown[] = []
  const ports = fakePorts(
    {},
    {
      permits(given) {
        asked.push(given)
        return { take }
      },
    },
  )
  const options = {
    ...{ limit: 3, by: ['client' as const], ipv6Prefix: 64, groups: {}, plans: {}, name: 'calls', retryAfter: 1000 },
    ...{ store: 'shared', mode: 'leased' as const, onFailure: 'open' as const },
  }
  return { step: concurrency.build(options, ports, place)(next), asked }
}

describe('with a store', () => {
  test('it is asked by key and limit, and what it gave is given back', async () => {
    const seen: unknown[] = []
    const gives: string[] = []
    const { step, asked } = withStore(
      (key, limit) => {
        seen.push(key, limit)
        return Promise.resolve(outcomeOf(true, null, gives))
      },
      makeNext(() => Reply.empty(204)),
    )
    const reply = await step(makeCall({ clientAddress: '192.0.2.1' }))
    assert.equal(reply.headers.get('x-turnpike-limit-fallback'), undefined)
    assert.deepEqual([seen, gives], [['192.0.2.1', 3], ['given']])
    assert.partialDeepStrictEqual(asked, [{ store: 'shared', mode: 'leased', onFailure: 'open', name: 'calls' }])
  })

  test('replies say that something else decided', async () => {
    const gives: string[] = []
    const open = withStore(
      () => outcomeOf(true, 'open', gives),
      makeNext(() => Reply.empty(200)),
    )
    const closed = withStore(() => outcomeOf(false, 'closed', gives), neverAnswer())
    const replies = [await open.step(makeCall()), await closed.step(makeCall())]
    assert.deepEqual(
      replies.map(({ status, headers }) => [status, headers.get('x-turnpike-limit-fallback')]),
      [
        [200, 'open'],
        [503, 'closed'],
      ],
    )
    assert.deepEqual(gives, ['given'])
  })

  test('a client that leaves while the store is asked has its permit given back, and the upstream hears nothing', async () => {
    const gives: string[] = []
    const answer = Promise.withResolvers<ReturnType<typeof outcomeOf>>()
    const next = makeNext(() => Reply.empty(200))
    const { step } = withStore(() => answer.promise, next)
    const call = makeCall()
    const reply = step(call)
    const reason = new Failure('client-closed')
    call.abandon(reason)
    answer.resolve(outcomeOf(true, null, gives))
    await assert.rejects(reply, reason)
    assert.deepEqual([gives, next.calls.length], [['given'], 0])
  })
})

test('given back at once for a reply without body', async () => {
  const { step, taken } = build(makeNext(() => Reply.empty(204)))
  assert.equal((await step(makeCall())).status, 204)
  assert.equal(taken(), 0)
})

test('given back when the call fails', async () => {
  const failure = new Failure('upstream-timeout')
  const { step, taken } = build(makeNext(() => Promise.reject(failure)))
  await assert.rejects(step(makeCall()), failure)
  assert.equal(taken(), 0)
})

test('given back when a step throws instead of rejecting', async () => {
  const { step, taken } = build(() => {
    throw new Failure('unsafe-path')
  })
  await assert.rejects(step(makeCall()))
  assert.equal(taken(), 0)
})

async function startBody() {
  const { body, source } = ManualSource.body(5)
  const built = build(() => Promise.resolve(new Reply(200, new Headers(), body)))
  const call = makeCall()
  const reply = await built.step(call)
  return { ...built, call, reply, source, sink: new RecordingSink() }
}

test('held while the reply body moves, given back at its end', async () => {
  const { reply, source, sink, taken } = await startBody()
  assert.equal(reply.body.length, 5)
  reply.body.pipe(sink)
  assert.equal(source.push('hello'), true)
  assert.equal(taken(), 1)
  const trailers = Headers.of({ 'x-sum': '1' })
  source.sink?.end(trailers)
  assert.equal(taken(), 0)
  assert.equal(sink.text, 'hello')
  assert.equal(sink.trailers, trailers)
})

test('given back when the reply body fails', async () => {
  const { reply, source, sink, taken } = await startBody()
  reply.body.pipe(sink)
  const failure = new Failure('upstream-reply-cut-short')
  source.sink?.fail(failure)
  assert.equal(taken(), 0)
  assert.equal(sink.failure, failure)
})

test('given back when the reply body is cancelled, before or while it moves', async () => {
  for (const isPiped of [false, true]) {
    const { reply, source, sink, taken } = await startBody()
    if (isPiped) reply.body.pipe(sink)
    reply.body.cancel()
    assert.equal(taken(), 0)
    assert.ok(source.isCancelled)
  }
})

test('back-pressure passes through', async () => {
  const { reply, source, sink } = await startBody()
  reply.body.pipe(sink)
  sink.hasRoom = false
  assert.equal(source.push('he'), false)
  reply.body.resume()
  assert.equal(source.resumes, 1)
})

test('given back when the call is abandoned, waiting or with a body under way', async () => {
  const waiting = build(neverAnswer())
  const call = makeCall()
  void waiting.step(call)
  call.abandon(new Failure('client-closed'))
  assert.equal(waiting.taken(), 0)

  const moving = await startBody()
  moving.call.abandon(new Failure('call-timeout'))
  assert.equal(moving.taken(), 0)
})

test('a tunnel gives it back when its socket closes', async () => {
  const socket = new PassThrough()
  const reply = Reply.empty(101)
  reply.tunnel = { socket, head: Buffer.alloc(0) }
  const { step, taken } = build(makeNext(() => reply))
  await step(makeCall())
  assert.equal(taken(), 1)
  const closed = new Promise(resolve => socket.once('close', resolve))
  socket.destroy()
  await closed
  assert.equal(taken(), 0)
})

test('a tunnel that is closed already gives it back at once', async () => {
  const socket = new PassThrough()
  const closed = new Promise(resolve => socket.once('close', resolve))
  socket.destroy()
  await closed
  const reply = Reply.empty(101)
  reply.tunnel = { socket, head: Buffer.alloc(0) }
  const { step, taken } = build(makeNext(() => reply))
  await step(makeCall())
  assert.equal(taken(), 0)
})

test('whatever ends a call and however often, what was taken is given back once', async () => {
  const ends = fc.array(fc.constantFrom('end', 'fail', 'cancel', 'abandon'), { minLength: 1, maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(ends, fc.boolean(), async (events, isPiped) => {
      const { reply, source, sink, taken, call } = await startBody()
      if (isPiped) reply.body.pipe(sink)
      else events.push('cancel')
      for (const event of events) {
        if (event === 'end') source.sink?.end(null)
        else if (event === 'fail') source.sink?.fail(new Failure('internal'))
        else if (event === 'cancel') reply.body.cancel()
        else call.abandon(new Failure('client-closed'))
      }
      assert.equal(taken(), 0)
    }),
  )
})

test('never more calls inside than the limit', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(9), { maxLength: 40 }), async (limit, script) => {
      let inside = 0
      const pending: (() => void)[] = []
      const next = () => {
        inside++
        assert.ok(inside <= limit)
        return new Promise<Reply>(resolve => {
          pending.push(() => {
            inside--
            resolve(Reply.empty(200))
          })
        })
      }
      const { step, taken } = build(next, { limit })
      for (const draw of script) {
        const expected = inside < limit
        if (draw >= 4) {
          const before = inside
          void step(makeCall())
          assert.equal(inside > before, expected)
        } else pending.shift()?.()
        await new Promise(resolve => setImmediate(resolve))
        assert.equal(taken(), inside)
      }
    }),
    { numRuns: 50 },
  )
})
