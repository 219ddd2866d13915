import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import type { HealthBlueprint } from '../../core/health-schema.ts'
import { Reply } from '../../core/reply.ts'
import { type Act, FakeEndpoint, FakePorts, failure } from '../fakes.ts'
import { createHttpCheck, createStatusTest } from './http-check.ts'

const defaults: HealthBlueprint = {
  ...{ path: '/healthz?deep=1', method: 'GET', host: null, headers: {}, statuses: ['2xx'], grpc: null, port: null },
  ...{ interval: 5_000, timeout: 1_000, unhealthy: 3, healthy: 2 },
}

function setUp(acts: Act[], changes: Partial<HealthBlueprint> = {}) {
  const ports = new FakePorts()
  const endpoint = new FakeEndpoint('shop.test', 1, acts)
  const address = { id: 'shop.test', scheme: 'http', hostname: 'shop.test', address: '10.0.0.7', port: 80 } as const
  const check = createHttpCheck(endpoint, address, { ...defaults, ...changes }, ports)
  return { ports, endpoint, check }
}

/** Answers when the call is given up. */
const never: Act = call =>
  new Promise((_, reject) => {
    call.onAbandon({ abandoned: reject })
  })

test('asks on a fresh connection, as it is told', async () => {
  let seen: Call | null = null
  const act: Act = call => {
    seen = call
    return Promise.resolve(Reply.empty(204))
  }
  const { check, endpoint } = setUp([act], { headers: { 'X-Token': 'abc', 'User-Agent': 'probe' } })
  assert.deepEqual(await check.run(), { problem: null, isOwnFault: false })
  assert.deepEqual(endpoint.sent, [true])
  const call = (seen as Call | null) ?? assert.fail()
  assert.deepEqual([call.method, call.target, call.query], ['GET', '/healthz?deep=1', '?deep=1'])
  assert.deepEqual(
    [...call.headers],
    [
      ['host', 'shop.test:80'],
      ['user-agent', 'probe'],
      ['X-Token', 'abc'],
    ],
  )
})

test('says what is wrong', async () => {
  const { check } = setUp([503, new Failure('upstream-reset', { detail: 'it hung up' })])
  assert.deepEqual(await check.run(), { problem: 'status 503', isOwnFault: false })
  assert.deepEqual(await check.run(), { problem: 'it hung up', isOwnFault: false })
})

test('gives up in time, and leaves no deadline behind', async () => {
  const { check, ports } = setUp([never])
  const finding = check.run()
  await ports.time.pass(1_100, 100)
  assert.deepEqual(await finding, { problem: 'no answer in time', isOwnFault: false })
  assert.equal(ports.time.entries.size, 0)
})

test('a gateway without a descriptor found out nothing', async () => {
  const cause = Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' })
  const { check } = setUp([new Failure('upstream-connect-failed', { cause }), failure('upstream-connect-failed')])
  assert.equal((await check.run()).isOwnFault, true)
  assert.equal((await check.run()).isOwnFault, false)
})

test('statuses: single ones and classes', () => {
  const fits = createStatusTest(['200', '3xx'])
  assert.deepEqual([200, 201, 204, 300, 399, 404].filter(fits), [200, 300, 399])
})
