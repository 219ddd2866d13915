// Further tries after replies that ask for patience, on real sockets. Each test counts what the servers saw.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ask } from '../tools/ask.ts'
import { type Handler, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

/** When calls of a target came. */
const arrivals = new Map<string, number[]>()

/** `/429/1/…` answers the first call of that target with 429 and `Retry-After: 1`, further ones with 200; `/429/-/…` without the field. */
const serve: Handler = (request, response, body) => {
  const target = request.url ?? ''
  const times = arrivals.get(target) ?? []
  arrivals.set(target, [...times, performance.now()])
  const [, status = '', wait = ''] = target.split('/')
  if (times.length > 0) {
    response.end(`got ${body.length}`)
    return
  }
  const retryAfter = wait === 'date' ? new Date(Date.now() + 2_000).toUTCString() : wait
  response.writeHead(Number(status), wait === '-' ? {} : { 'retry-after': retryAfter }).end('later')
}

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start(serve)
  const on = ['429', 409, 408, 425, '503']
  program = await Program.start({
    workers: 1,
    upstreams: {
      patient: { targets: [origin.url], retry: { on, budget: '100%', backoff: '1ms', retryAfterMax: '3s' } },
      hasty: { targets: [origin.url], retry: { on, budget: '100%', backoff: '1ms' } },
      timed: { targets: [origin.url], retry: { on, budget: '100%', backoff: '1ms' }, timeouts: { call: '800ms' } },
      asked: { targets: [origin.url], retry: { on, attempts: 0, budget: '100%', backoff: '1ms' } },
    },
    routes: [
      ...['patient', 'hasty', 'timed', 'asked'].map(forward => ({ match: { hosts: [`${forward}.test`] }, forward })),
      { match: { hosts: ['never.test'] }, forward: { to: 'hasty', retry: false } },
      { match: { hosts: ['other.test'] }, forward: { to: 'hasty', retry: { on: 404 } } },
      { match: { hosts: ['opted.test'] }, forward: { to: 'asked', retry: { attempts: 1 } } },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

async function answerOf(upstream: string, path: string, options: { method?: string; body?: string } = {}) {
  const got = await ask(program.port, { path, headers: { host: `${upstream}.test` }, ...options })
  const times = arrivals.get(path) ?? []
  return { ...got, tries: times.length, waitMs: (times[1] ?? 0) - (times[0] ?? 0) }
}

/** What becomes of a call that is answered 429 first, and of one that is answered 404 first: status and tries of both. */
async function outcomes(host: string): Promise<number[]> {
  const [late, unknown] = [await answerOf(host, `/429/-/${host}`), await answerOf(host, `/404/-/${host}`)]
  return [late.status, late.tries, unknown.status, unknown.tries]
}

describe('statuses below 500', () => {
  for (const status of [408, 409, 425, 429]) {
    test(`${status} is tried again where it is listed, with its body`, async () => {
      const got = await answerOf('hasty', `/${status}/-/put`, { method: 'PUT', body: 'x'.repeat(5_000) })
      assert.deepEqual([got.status, got.text, got.tries], [200, 'got 5000', 2])
    })
  }

  test('not where it is not listed, and no POST', async () => {
    const unlisted = await answerOf('hasty', '/404/-/get')
    const post = await answerOf('hasty', '/429/-/post', { method: 'POST', body: 'x' })
    assert.deepEqual([unlisted.status, unlisted.tries, post.status, post.tries], [404, 1, 429, 1])
  })
})

describe('Retry-After', () => {
  for (const [wait, atLeastMs] of [
    ['1', 1000],
    ['date', 900],
  ] as const) {
    test(`the next try waits for as long: ${wait}`, async () => {
      const got = await answerOf('patient', `/429/${wait}/wait`)
      assert.deepEqual([got.status, got.tries], [200, 2])
      // A timer may fire a millisecond early.
      assert.ok(got.waitMs >= atLeastMs - 2, `${got.waitMs} ms`)
    })
  }

  test('more than retryAfterMax: the reply goes to the client as it is, at once', async () => {
    const startMs = performance.now()
    const got = await answerOf('hasty', '/503/2/long')
    assert.deepEqual([got.status, got.text, got.headers['retry-after'], got.tries], [503, 'later', '2', 1])
    assert.ok(performance.now() - startMs < 1_900)
  })

  test('beyond the deadline of the call: likewise', async () => {
    const got = await answerOf('timed', '/429/1/late')
    assert.deepEqual([got.status, got.text, got.headers['retry-after'], got.tries], [429, 'later', '1', 1])
  })
})

describe('a route may say', () => {
  test('that its calls are not tried again', async () => {
    assert.deepEqual(await outcomes('never'), [429, 1, 404, 1])
  })

  test('on what they are', async () => {
    assert.deepEqual(await outcomes('other'), [429, 1, 200, 2])
  })

  test('how often they are, also where other routes have none', async () => {
    assert.deepEqual(await outcomes('opted'), [200, 2, 404, 1])
    assert.deepEqual(await outcomes('asked'), [429, 1, 404, 1])
  })

  test('and other calls of the same upstream are not touched', async () => {
    assert.deepEqual(await outcomes('hasty'), [200, 2, 404, 1])
  })
})

test('afterwards there is no call and no connection left', async () => {
  await program.untilQuiet()
})
