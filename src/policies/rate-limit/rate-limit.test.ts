import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseList } from 'structured-headers'
import type { Call } from '../../core/call.ts'
import type { Consumer } from '../../core/consumers.ts'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import { OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import type { Static } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { localLimits } from '../../../test/tools/limits.ts'
import { rateLimit } from './rate-limit.ts'

type Options = Static<typeof rateLimit.options>
const minute = (count: number) => ({ count, windowMs: 60_000 })
const defaults: Options = {
  ...{ limit: minute(2), limits: [], algorithm: 'sliding-window', burst: null, by: ['client'], ipv6Prefix: 64 },
  ...{ cost: 1, count: 'all', groups: {}, plans: {}, name: '', headers: 'draft' },
  ...{ store: null, mode: 'exact', onFailure: 'local-share', callers: 64 },
}
const ok = () => Reply.empty(200)

function build(options: Partial<Options> = {}, answer: (call: Call) => Reply | Promise<Reply> = ok) {
  const ports = fakePorts(
    {},
    {
      limits: localLimits({ time: { now: () => ports.clock.now(), wall: () => ports.clock.wall() } }),
    },
  )
  const given = { ...defaults, ...options }
  rateLimit.check?.(given)
  const next = makeNext(answer)
  const step = rateLimit.build(given, ports, { route: 'r', key: 'r/policies/0/rate-limit' })(next)
  return { step, next, ports }
}

const statuses = async (step: Step, calls: readonly Call[]) => {
  const found: number[] = []
  for (const call of calls) found.push((await step(call)).status)
  return found
}
const times = (count: number, make: (index: number) => Call = () => makeCall()) =>
  Array.from({ length: count }, (_, index) => make(index))

const ofTenant = (tenant: string) => callOf({}, { headers: { 'x-tenant': tenant } })
const needed = (options: Partial<Options>) => rateLimit.needsFor?.({ ...defaults, ...options }).length

function callOf(consumer: Partial<Consumer>, more: CallOptions = {}): Call {
  const call = makeCall(more)
  const whole = { id: 'c-1', name: 'acme', groups: [], labels: {}, plan: '', limits: {}, ...consumer }
  call.facts.set(principal, {
    ...{ method: 'api-key', id: whole.id, consumer: whole, application: null, credential: 'k-1', scopes: [] },
    claims: { tenant: 't-1' },
  })
  return call
}

test('429 rate-limited with Retry-After; the upstream hears nothing', async () => {
  const { step, next, ports } = build()
  assert.deepEqual(await statuses(step, times(2)), [200, 200])
  const refused = await step(makeCall())
  assert.deepEqual([refused.status, refused.code, refused.headers.get('retry-after')], [429, 'rate-limited', '60'])
  assert.equal(next.calls.length, 2)
  ports.advance(60_000)
  assert.equal((await step(makeCall())).status, 200)
})

test('gcra: a burst, then the even rate', async () => {
  const { step, ports } = build({ algorithm: 'gcra', limit: minute(60), burst: 3 })
  assert.deepEqual(await statuses(step, times(4)), [200, 200, 200, 429])
  ports.advance(1000)
  assert.deepEqual(await statuses(step, times(2)), [200, 429])
})

test('several limits at once', async () => {
  const limits = [
    { rate: { count: 2, windowMs: 1000 }, burst: null, name: 'second' },
    { rate: minute(3), burst: null, name: '' },
  ]
  const { step, ports } = build({ limit: null, limits })
  assert.deepEqual(await statuses(step, times(3)), [200, 200, 429])
  ports.advance(1000)
  assert.deepEqual(await statuses(step, times(2)), [200, 429])
})

describe('by', () => {
  test('client: IPv6 by its prefix', async () => {
    const { step } = build({ limit: minute(1) })
    const calls = ['2001:db8::1', '2001:db8:0:0:ffff::2', '2001:db8:0:1::1', '192.0.2.1', '192.0.2.2'].map(
      clientAddress => makeCall({ clientAddress }),
    )
    assert.deepEqual(await statuses(step, calls), [200, 429, 200, 200, 200])
  })
  test('header and claim: alike in both, and a missing one counts as empty', async () => {
    const { step } = build({ limit: minute(1), by: [{ header: 'X-Tenant' }, { claim: 'tenant' }] })
    assert.deepEqual(
      await statuses(step, [ofTenant('a'), ofTenant('b'), ofTenant('a'), makeCall(), makeCall()]),
      [200, 200, 429, 200, 429],
    )
  })
  test('consumer, application, credential: without one, whom it belongs to', async () => {
    for (const by of ['consumer', 'application', 'credential'] as const) {
      const { step } = build({ limit: minute(1), by: [by] })
      assert.deepEqual(
        await statuses(
          step,
          times(2, () => callOf({})),
        ),
        [200, 429],
        by,
      )
    }
  })
  test('the principal is needed where it is used, and only there', () => {
    assert.deepEqual([needed({}), needed({ by: ['route', { header: 'a' }] })], [0, 0])
    for (const options of [{ by: ['client', 'consumer'] }, { by: [{ claim: 'x' }] }, { plans: { a: [minute(1)] } }]) {
      assert.equal(needed(options as Partial<Options>), 1)
    }
  })
})

test('groups, plans and the consumer’s own, each before the other', async () => {
  const { step } = build({
    ...{ limit: minute(1), by: ['consumer'], name: 'calls' },
    ...{ groups: { partners: [minute(2)] }, plans: { gold: [minute(3)] } },
  })
  const passes = async (consumer: Partial<Consumer>) =>
    (
      await statuses(
        step,
        times(9, () => callOf(consumer)),
      )
    ).filter(status => status === 200).length
  assert.equal(await passes({ id: '1' }), 1)
  assert.equal(await passes({ id: '2', groups: ['x', 'partners'] }), 2)
  assert.equal(await passes({ id: '3', groups: ['partners'], plan: 'gold' }), 3)
  assert.equal(await passes({ id: '4', plan: 'gold', limits: { calls: '4/minute, 1000/h' } }), 4)
  assert.equal(await passes({ id: '5', plan: 'gold', limits: { calls: 'nonsense' } }), 3)
  assert.equal(await passes({ id: '6', limits: { calls: '0/s' } }), 0)
})

describe('cost', () => {
  test('of a request header, bounded', async () => {
    const { step } = build({ limit: minute(10), cost: { header: 'x-cost', max: 5 } })
    assert.deepEqual(
      await statuses(
        step,
        ['999', '-3', '4', '0'].map(cost => makeCall({ headers: { 'x-cost': cost } })),
      ),
      [200, 200, 200, 429],
    )
  })
  test('of a reply header, charged afterwards, past the limit if need be', async () => {
    const { step, ports } = build(
      { limit: minute(5), cost: { reply: 'x-cost', max: 100 } },
      () => new Reply(200, Headers.of({ 'x-cost': '7' }), Reply.empty(200).body),
    )
    assert.deepEqual(await statuses(step, times(2)), [200, 429])
    ports.advance(60_000)
    assert.deepEqual(await statuses(step, times(2)), [200, 429])
  })
})

test('only-2xx: what failed is given back, but not what the client gave up', async () => {
  const replies: (() => Reply)[] = [
    () => Reply.empty(500),
    () => Reply.empty(301),
    () => {
      throw new Failure('upstream-reset')
    },
    ok,
    () => {
      throw new Failure('client-closed')
    },
  ]
  const { step } = build({ count: 'only-2xx' }, () => (replies.shift() ?? ok)())
  const seen: (number | string)[] = []
  for (const call of times(6))
    seen.push(
      await step(call).then(
        ({ status }) => status,
        (failure: Failure) => failure.code,
      ),
    )
  assert.deepEqual(seen, [500, 301, 'upstream-reset', 200, 'client-closed', 429])
})

describe('fields', () => {
  test('the draft’s parse as structured fields', async () => {
    const { step } = build({
      limit: null,
      limits: [
        { rate: minute(5), burst: null, name: '' },
        { rate: { count: 9, windowMs: 3_600_000 }, burst: null, name: 'hourly' },
      ],
    })
    const { headers } = await step(makeCall())
    const items = (name: string) =>
      parseList(headers.get(name) ?? '').map(([value, parameters]): [unknown, unknown] => [
        value,
        Object.fromEntries(parameters),
      ])
    assert.deepEqual(items('ratelimit-policy'), [
      ['default-60s', { q: 5, w: 60 }],
      ['hourly', { q: 9, w: 3600 }],
    ])
    assert.deepEqual(items('ratelimit'), [
      ['default-60s', { r: 4, t: 60 }],
      ['hourly', { r: 8, t: 3600 }],
    ])
    assert.equal(headers.get('x-ratelimit-limit'), undefined)
  })
  test('legacy, both and none', async () => {
    const { headers } = await build({ headers: 'legacy' }).step(makeCall())
    assert.deepEqual(
      ['limit', 'remaining', 'reset'].map(part => headers.get(`x-ratelimit-${part}`)),
      ['2', '1', '60'],
    )
    assert.equal(headers.get('ratelimit'), undefined)
    const both = (await build({ headers: 'both' }).step(makeCall())).headers
    assert.ok(both.has('ratelimit') && both.has('x-ratelimit-limit'))
    assert.equal((await build({ headers: 'none' }).step(makeCall())).headers.size, 0)
  })
  test('a cost that never passes has no Retry-After', async () => {
    const refused = await build({ cost: 3 }).step(makeCall())
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, undefined])
  })
})

test('options that cannot work', () => {
  const bad: Partial<Options>[] = [
    { limit: null },
    { limits: [{ rate: minute(1), burst: null, name: '' }] },
    { limit: minute(0) },
    { burst: 3 },
    { mode: 'leased' },
    { plans: { a: [1, 2, 3, 4, 5].map(minute) } },
  ]
  for (const options of bad) assert.throws(() => build(options), OptionsError, JSON.stringify(options))
})
