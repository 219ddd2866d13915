import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../../core/call.ts'
import type { Consumer } from '../../core/consumers.ts'
import type { LimitStoreOptions } from '../../core/limits.ts'
import { OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import type { Static } from '../../core/schema.ts'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { localLimits } from '../../../test/tools/limits.ts'
import { quota } from './quota.ts'

type Options = Static<typeof quota.options>
const defaults: Options = {
  ...{ limit: '2/day', limits: [], timeZone: 'UTC', anchor: '2000-01-01', anchorLabel: null },
  ...{ by: ['consumer'], ipv6Prefix: 64, cost: 1, count: 'all', groups: {}, plans: {}, name: '', durable: true },
  ...{ headers: 'draft', store: null, mode: 'exact', onFailure: 'local-share', callers: 64 },
}

/** The fake clock starts on 1 January 2026, a second after midnight. */
function build(options: Partial<Options> = {}) {
  const asked: LimitStoreOptions[] = []
  const ports = fakePorts(
    {},
    {
      limits(wanted) {
        asked.push(wanted)
        return localLimits({ time: { now: () => ports.clock.now(), wall: () => ports.clock.wall() } })(wanted)
      },
    },
  )
  const given = { ...defaults, ...options }
  quota.check?.(given)
  const place = { route: 'r', key: 'r/policies/0/quota' }
  const step = quota.build(given, ports, place)(makeNext(() => Reply.empty(200)))
  const passes = async (consumer: Partial<Consumer> = {}) => {
    let passed = 0
    while (passed < 20 && (await step(callOf(consumer))).status === 200) passed++
    return passed
  }
  return { step, ports, asked, passes }
}

function callOf(consumer: Partial<Consumer>): Call {
  const call = makeCall()
  const whole = { id: 'c-1', name: 'acme', groups: [], labels: {}, plan: '', limits: {}, ...consumer }
  call.facts.set(principal, {
    ...{ method: 'api-key', id: whole.id, consumer: whole, application: null, credential: '', scopes: [], claims: {} },
  })
  return call
}

const dayMs = 86_400_000

test('429 quota-exceeded until the day is over', async () => {
  const { step, passes, ports } = build()
  assert.equal(await passes(), 2)
  const refused = await step(callOf({}))
  assert.deepEqual([refused.status, refused.code, refused.headers.get('retry-after')], [429, 'quota-exceeded', '86399'])
  assert.equal(refused.headers.get('ratelimit'), '"default";r=0;t=86399')
  ports.advance(dayMs - 1000)
  assert.equal(await passes(), 2)
})

test('days begin where the time zone says', async () => {
  const { passes, ports } = build({ timeZone: 'America/New_York' })
  assert.equal(await passes(), 2)
  ports.advance(5 * 3_600_000)
  assert.equal(await passes(), 2, 'midnight in New York')
})

test('several at once', async () => {
  const { passes, ports } = build({ limit: null, limits: ['2/day', '3/month'] })
  assert.equal(await passes(), 2)
  ports.advance(dayMs)
  assert.equal(await passes(), 1)
  ports.advance(31 * dayMs)
  assert.equal(await passes(), 2)
})

test('a period begins on the day of the anchor, or of the consumer’s label', async () => {
  const { passes, ports } = build({ limit: '1/period', anchor: '2025-06-03', anchorLabel: 'since' })
  const labelled = { id: 'c-2', labels: { since: '2025-11-02' } }
  const broken = { id: 'c-3', labels: { since: 'soon' } }
  for (const consumer of [{}, labelled, broken]) assert.equal(await passes(consumer), 1)
  ports.advance(dayMs)
  assert.deepEqual([await passes(), await passes(labelled), await passes(broken)], [0, 1, 0])
  ports.advance(dayMs)
  assert.deepEqual([await passes(), await passes(labelled), await passes(broken)], [1, 0, 1])
})

test('plans, groups and the consumer’s own', async () => {
  const { passes } = build({ name: 'calls', plans: { gold: ['4/day'] }, groups: { partners: ['3/day', '100/month'] } })
  assert.equal(await passes({ id: '1', groups: ['partners'] }), 3)
  assert.equal(await passes({ id: '2', plan: 'gold' }), 4)
  assert.equal(await passes({ id: '3', plan: 'gold', limits: { calls: '5/month' } }), 5)
  assert.equal(await passes({ id: '4', limits: { calls: '5/fortnight' } }), 2)
})

test('durable counts are asked for, by name or place', () => {
  assert.deepEqual(
    [build(), build({ durable: false, name: 'calls' })].map(({ asked }) => [asked[0]?.isDurable, asked[0]?.scope]),
    [
      [true, 'r/policies/0/quota/consumer/64'],
      [false, 'quota/calls/consumer/64'],
    ],
  )
  assert.deepEqual(quota.counts?.(defaults), { store: null, isDurable: true })
})

test('options that cannot work', () => {
  const bad: Partial<Options>[] = [
    { limit: null },
    { limits: ['1/day'] },
    { limit: '0/day' },
    { limit: '5/fortnight' },
    { limit: '5/day, 6/month' },
    { plans: { a: ['x'] } },
    { groups: { a: ['1/day', '2/day', '3/day', '4/day', '5/day'] } },
    { timeZone: 'Mars/Base' },
    { anchor: '2026-02-30' },
    { mode: 'leased' },
  ]
  for (const options of bad) assert.throws(() => build(options), OptionsError, JSON.stringify(options))
})
