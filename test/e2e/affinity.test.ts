// Clients that keep cookies stay with one target, over workers, restarts, sick targets and caches.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { type Answer, ask } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const run = promisify(execFile)
const pair = selfSigned(['one.test'])
const sick = new Set<string>()
let origins: Origin[] = []
let program: Program

function config() {
  const targets = origins.map(({ url }) => url)
  const health = { interval: '200ms', timeout: '2s', unhealthy: 1, healthy: 1, path: '/check' }
  const listener = { host: '127.0.0.1', port: 0 }
  return {
    workers: 2,
    listeners: [
      { ...listener, name: 'plain' },
      { ...listener, name: 'secure', tls: { certificates: [{ cert: 'one.pem', key: 'one.key' }] } },
    ],
    upstreams: {
      shop: { targets, affinity: { cookie: 'lane', ttl: '1h' }, health },
      dead: { targets: ['http://127.0.0.1:1'], affinity: 'dead-lane' },
    },
    routes: [
      { match: { path: '/dead' }, forward: 'dead' },
      { match: { path: '/kept/**' }, policies: [{ cache: { cacheStatus: 'turnpike' } }], forward: 'shop' },
      { match: { path: '/**' }, forward: 'shop' },
    ],
  }
}

before(async () => {
  origins = await Promise.all(
    ['a', 'b'].map(name =>
      Origin.start((request, response) => {
        const isSick = request.url === '/check' && sick.has(name)
        response.writeHead(isSick ? 503 : 200, {
          'x-origin': name,
          'content-length': 0,
          ...(request.url?.startsWith('/kept') && { 'cache-control': 'public, max-age=600' }),
          ...(request.url === '/kept/own' && { 'set-cookie': 'session=secret' }),
        })
        response.end()
      }),
    ),
  )
  program = await Program.start(config(), { 'one.pem': pair.cert, 'one.key': pair.key })
})
after(async () => {
  await program?.stop()
  for (const origin of origins) await origin[Symbol.asyncDispose]()
})

const placeOf = ({ headers }: Answer) => String(headers['x-origin'])
const cookiesOf = ({ headers }: Answer) => headers['set-cookie'] ?? []

/** A client that keeps its cookies. */
class Customer {
  cookie = ''

  async call(path = '/', port = program.port): Promise<Answer> {
    const answer = await ask(port, { path, ...(this.cookie !== '' && { headers: { cookie: this.cookie } }) })
    const [given] = cookiesOf(answer)
    if (given !== undefined) this.cookie = given.split(';')[0] ?? ''
    return answer
  }
}

async function untilUsable(count: number): Promise<void> {
  await program.untilTotal('turnpike_upstream_targets', { upstream: 'shop', state: 'usable' }, count)
}

async function placesOf(customers: readonly Customer[]): Promise<string[]> {
  return Promise.all(customers.map(async customer => placeOf(await customer.call())))
}

describe('affinity', () => {
  test('a customer gets the cookie once and stays, whichever worker takes the call; a sick target lends its customers', async () => {
    await untilUsable(2)
    const customers = Array.from({ length: 30 }, () => new Customer())
    const first = await Promise.all(customers.map(customer => customer.call()))
    for (const answer of first) {
      assert.match(String(cookiesOf(answer)), /^lane=[0-9a-z]{10}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/)
      assert.equal(answer.headers['cache-control'], 'no-cache="set-cookie"')
    }
    const before = first.map(placeOf)
    assert.deepEqual(new Set(before), new Set(['a', 'b']))
    for (let round = 0; round < 4; round++) {
      const answers = await Promise.all(customers.map(customer => customer.call()))
      assert.deepEqual(answers.map(placeOf), before)
      assert.deepEqual(answers.flatMap(cookiesOf), [])
    }
    sick.add('b')
    await untilUsable(1)
    assert.deepEqual(new Set(await placesOf(customers)), new Set(['a']))
    sick.delete('b')
    await untilUsable(2)
    assert.deepEqual(await placesOf(customers), before)
  })

  test('curl keeps the cookie as it is meant, over TLS as `Secure`', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-'))
    try {
      for (const [scheme, listener] of [
        ['http', 0],
        ['https', 1],
      ] as const) {
        const jar = path.join(folder, `${scheme}.txt`)
        const call = async () => {
          const port = program.portOf(listener)
          const host = ['--resolve', `one.test:${port}:127.0.0.1`, `${scheme}://one.test:${port}/`]
          const { stdout } = await run('curl', [
            '-sSi',
            '--cacert',
            program.file('one.pem'),
            '-b',
            jar,
            '-c',
            jar,
            ...host,
          ])
          return stdout.toLowerCase()
        }
        const first = await call()
        assert.match(first, /\nset-cookie: lane=/)
        // Its columns: host, subdomains, path, secure, expiry, name, value.
        assert.match(
          await readFile(jar, 'utf8'),
          scheme === 'https' ? /#HttpOnly_one\.test\tFALSE\t\/\tTRUE\t\d+\tlane\t/ : /\t\/\tFALSE\t\d+\tlane\t/,
        )
        const place = /\nx-origin: (\w)/.exec(first)?.[1]
        for (let round = 0; round < 4; round++) {
          const next = await call()
          assert.equal(/\nx-origin: (\w)/.exec(next)?.[1], place)
          assert.doesNotMatch(next, /set-cookie/)
        }
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('calls that reach no target set no cookie', async () => {
    await untilUsable(2)
    const unreachable = await ask(program.port, { path: '/dead' })
    assert.deepEqual([unreachable.status, cookiesOf(unreachable)], [502, []])
    for (const name of ['a', 'b']) sick.add(name)
    await untilUsable(0)
    const unhealthy = await ask(program.port)
    for (const name of ['a', 'b']) sick.delete(name)
    await untilUsable(2)
    assert.deepEqual([unhealthy.status, cookiesOf(unhealthy)], [503, []])
  })

  test('the cache keeps the reply to a new customer, and hands the cookie to nobody else', async () => {
    await untilUsable(2)
    const first = await ask(program.port, { path: '/kept/page' })
    assert.equal(cookiesOf(first).length, 1)
    let hits = 0
    for (let i = 0; i < 12; i++) {
      const answer = await ask(program.port, { path: '/kept/page' })
      const isHit =
        String(answer.headers['cache-status']).endsWith('; hit') ||
        String(answer.headers['cache-status']).includes('; hit;')
      if (isHit) hits++
      assert.equal(cookiesOf(answer).length, isHit ? 0 : 1)
      assert.notDeepEqual(cookiesOf(answer), cookiesOf(first))
    }
    // Each of the two workers asks once.
    assert.ok(hits >= 11, `${hits} of 12`)
  })

  test('a reply in which the service sets a cookie of its own is kept no more than without affinity', async () => {
    for (let i = 0; i < 4; i++) {
      const answer = await ask(program.port, { path: '/kept/own' })
      assert.deepEqual(
        cookiesOf(answer).map(text => text.split('=')[0]),
        ['session', 'lane'],
      )
      assert.doesNotMatch(String(answer.headers['cache-status']), /hit|stored/)
    }
  })

  test('who kept the cookie of another gateway stays as well', async () => {
    await untilUsable(2)
    await using other = await Program.start(config(), { 'one.pem': pair.cert, 'one.key': pair.key })
    await other.untilTotal('turnpike_upstream_targets', { upstream: 'shop', state: 'usable' }, 2)
    for (let i = 0; i < 10; i++) {
      const customer = new Customer()
      const place = placeOf(await customer.call())
      assert.equal(placeOf(await customer.call('/', other.port)), place)
    }
  })
})
