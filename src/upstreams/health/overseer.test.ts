import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'
import { FakePorts, settle } from '../fakes.ts'
import { eject } from './ejection.ts'
import { Overseer } from './overseer.ts'
import { Cell, createTargetMemory, Flag, TargetTable } from './target-memory.ts'

const health = { interval: 2_000, unhealthy: 3, healthy: 2 } as NonNullable<UpstreamBlueprint['health']>
const ejection: NonNullable<UpstreamBlueprint['ejection']> = {
  on: ['503'],
  ...{ consecutive: 5, successRate: null, interval: 10_000, baseTime: 5_000, maxTime: 60_000, maxPercent: 1 },
}

const urlOf = (n: number) => `http://10.0.0.${n}`

function setUp(count: number, settings: object = { health, ejection }) {
  const ports = new FakePorts(() => 1)
  const memory = createTargetMemory(1, 0)
  const table = new TargetTable(memory, ports.clock)
  const rows = Array.from({ length: count }, (_, n) => table.claim(`http://10.0.0.${n}:80 10.0.0.${n}`))
  /** What is wrong with each, by its address. */
  const problems: Record<string, string | null> = {}
  const asked: string[] = []
  const closed: string[] = []
  const targets = rows.map((_, n) => ({ url: urlOf(n), weight: 1, priority: 0 }))
  const blueprint = { targets, health: null, ejection: null, ...settings } as UpstreamBlueprint
  const open = (before: UpstreamBlueprint | null = null) =>
    new Overseer({
      ...{ name: 'catalog', blueprint, before, table, ports },
      makeCheck:
        blueprint.health &&
        (({ address }) => ({
          run: async () => {
            asked.push(address)
            return { problem: problems[address] ?? null, isOwnFault: problems[address] === 'EMFILE' }
          },
          close: () => closed.push(address),
        })),
    })
  const overseer = open()
  const pass = async (ms: number) => {
    for (let i = 0; i < ms; i += 100) {
      await ports.time.pass(100)
      for (const row of rows) table.stamp(row)
      overseer.beat(ports.time.nowMs)
      for (const { start } of overseer.due(ports.time.nowMs)) void start()
      await settle()
    }
  }
  const flags = () => rows.map(row => table.load(row, Cell.flags))
  return { ports, table, rows, problems, asked, closed, overseer, blueprint, open, pass, flags }
}

test('each target is checked once per interval, the first within a second', async () => {
  const { asked, pass, ports } = setUp(2)
  await pass(1_100)
  assert.deepEqual(asked.splice(0).sort(), ['10.0.0.0', '10.0.0.1'])
  await pass(10_000)
  assert.equal(asked.length, 10)
  assert.equal(ports.counts['turnpike_upstream_health_checks upstream=catalog outcome=passed'], 12)
})

test('failed checks in a row make a target unhealthy, passed ones healthy; each change is told once', async () => {
  const { problems, pass, flags, ports, overseer } = setUp(2)
  problems['10.0.0.1'] = 'status 500'
  await pass(5_500)
  assert.deepEqual(flags(), [0, Flag.unhealthy])
  assert.deepEqual(ports.lines, ['warn upstream catalog: http://10.0.0.1:80 is unhealthy: status 500'])
  const [, status] = overseer.status
  assert.deepEqual(
    [status?.state, status?.check?.state, status?.check?.problem],
    ['unhealthy', 'unhealthy', 'status 500'],
  )
  await pass(10_000)
  problems['10.0.0.1'] = null
  await pass(2_000)
  assert.deepEqual(flags(), [0, Flag.unhealthy], 'one is not enough')
  await pass(2_000)
  assert.deepEqual(flags(), [0, 0])
  assert.equal(ports.lines.length, 2)
  assert.equal(ports.lines[1], 'info upstream catalog: http://10.0.0.1:80 is healthy again')
})

test('a failed check between passed ones changes nothing', async () => {
  const { problems, pass, flags } = setUp(1)
  for (let i = 0; i < 6; i++) {
    problems['10.0.0.0'] = i % 3 === 2 ? null : 'refused'
    await pass(2_000)
    assert.deepEqual(flags(), [0])
  }
})

test('a check that breaks is a failed one, and the next one comes', async () => {
  const ports = new FakePorts(() => 1)
  const table = new TargetTable(createTargetMemory(1, 0), ports.clock)
  const row = table.claim('http://10.0.0.1:80 10.0.0.1')
  let runs = 0
  const overseer = new Overseer({
    ...{ name: 'catalog', blueprint: { health, ejection: null } as UpstreamBlueprint, before: null, table, ports },
    makeCheck: () => ({
      run() {
        runs++
        return Promise.reject(new Error('bug'))
      },
      close: () => {},
    }),
  })
  for (let i = 0; i < 65; i++) {
    await ports.time.pass(100)
    table.stamp(row)
    overseer.beat(ports.time.nowMs)
    for (const { start } of overseer.due(ports.time.nowMs)) await start()
  }
  assert.equal(runs, 3)
  assert.equal(table.load(row, Cell.flags), Flag.unhealthy)
})

test('a check that the gateway could not make changes nothing', async () => {
  const { problems, pass, flags, ports } = setUp(1)
  problems['10.0.0.0'] = 'EMFILE'
  await pass(10_000)
  assert.deepEqual(flags(), [0])
  problems['10.0.0.0'] = 'refused'
  await pass(6_000)
  problems['10.0.0.0'] = 'EMFILE'
  await pass(6_000)
  assert.deepEqual(flags(), [Flag.unhealthy])
  assert.ok((ports.counts['turnpike_upstream_health_checks upstream=catalog outcome=unknown'] ?? 0) >= 6)
})

test('while no target is usable, one passed check is enough', async () => {
  const { problems, pass, flags, table, rows } = setUp(2)
  problems['10.0.0.0'] = problems['10.0.0.1'] = 'refused'
  await pass(6_000)
  assert.deepEqual(flags(), [Flag.unhealthy, Flag.unhealthy])
  problems['10.0.0.1'] = null
  const before = table.version
  await pass(2_000)
  assert.deepEqual(flags(), [Flag.unhealthy, 0])
  assert.notEqual(table.version, before, 'workers are told')
  assert.equal(table.load(rows[1] ?? 0, Cell.since) > 60, true)
})

test('an ejected target is taken back when its time is over; both are told and counted', async () => {
  const { table, rows, pass, flags, ports, overseer } = setUp(2, { ejection })
  await pass(100)
  assert.equal(eject(table, rows[0] ?? 0, rows, ejection, 'consecutive'), 'ejected')
  await pass(4_900)
  assert.deepEqual(flags(), [Flag.ejected, 0])
  assert.equal(overseer.status[0]?.state, 'ejected')
  assert.equal(overseer.status[0]?.ejection?.reason, 'consecutive')
  assert.equal(overseer.status[0]?.check, null)
  await pass(200)
  assert.deepEqual(flags(), [0, 0])
  assert.deepEqual(ports.lines, [
    'warn upstream catalog: http://10.0.0.0:80 is ejected for 4.9 s',
    'info upstream catalog: http://10.0.0.0:80 is taken back after its ejection',
  ])
  assert.equal(ports.counts['turnpike_upstream_ejections upstream=catalog reason=consecutive'], 1)
})

test('a target that checks found sick and then well is ejected no longer', async () => {
  const { table, rows, pass, flags, problems } = setUp(2, { health, ejection: { ...ejection, baseTime: 60_000 } })
  problems['10.0.0.0'] = 'refused'
  eject(table, rows[0] ?? 0, rows, { ...ejection, baseTime: 60_000 }, 'consecutive')
  await pass(6_000)
  assert.deepEqual(flags(), [Flag.unhealthy | Flag.ejected, 0])
  problems['10.0.0.0'] = null
  await pass(4_000)
  assert.deepEqual(flags(), [0, 0])
})

test('passed checks alone do not end an ejection', async () => {
  const { table, rows, pass, flags } = setUp(2)
  eject(table, rows[0] ?? 0, rows, { ...ejection, baseTime: 60_000 }, 'consecutive')
  await pass(10_000)
  assert.deepEqual(flags(), [Flag.ejected, 0])
})

test('success rates are compared once per interval', async () => {
  const successRate = { minimumHosts: 5, requestVolume: 10, stdevFactor: 1.9, gap: 0.05 }
  const { table, rows, pass, flags, ports } = setUp(5, { ejection: { ...ejection, successRate } })
  for (const row of rows) table.store(row, Cell.calls, 50)
  table.store(rows[3] ?? 0, Cell.failures, 40)
  await pass(9_000)
  assert.deepEqual(flags(), [0, 0, 0, 0, 0])
  await pass(2_000)
  assert.deepEqual(flags(), [0, 0, 0, Flag.ejected, 0])
  assert.equal(ports.counts['turnpike_upstream_ejections upstream=catalog reason=success-rate'], 1)
})

test('the share that may be ejected is one of those that get calls', async () => {
  const successRate = { minimumHosts: 5, requestVolume: 10, stdevFactor: 0.5, gap: 0.05 }
  // The first five get calls, the others have weight 0.
  const targets = Array.from({ length: 10 }, (_, n) => ({ url: urlOf(n), weight: n < 5 ? 1 : 0, priority: 0 }))
  const settings = { targets, ejection: { ...ejection, successRate, maxPercent: 0.2 } }
  const { table, rows, pass, flags, ports } = setUp(10, settings)
  for (const row of rows.slice(0, 5)) table.store(row, Cell.calls, 50)
  table.store(rows[1] ?? 0, Cell.failures, 40)
  table.store(rows[3] ?? 0, Cell.failures, 45)
  await pass(11_000)
  assert.deepEqual(flags(), [0, 0, 0, Flag.ejected, 0, 0, 0, 0, 0, 0])
  assert.equal(ports.counts['turnpike_ceiling_hits ceiling=ejections name=catalog'], 1)
})

test('who gets no calls is counted anew and forgiven like the others', async () => {
  const targets = [0, 1, 2].map(n => ({ url: urlOf(n), weight: n === 2 ? 0 : 1, priority: 0 }))
  const { table, rows, pass } = setUp(3, { targets, ejection })
  const last = rows[2] ?? 0
  table.store(last, Cell.calls, 60)
  table.store(last, Cell.failures, 60)
  table.store(last, Cell.ejections, 4)
  await pass(11_000)
  assert.deepEqual(
    [Cell.calls, Cell.failures, Cell.ejections].map(cell => table.load(last, cell)),
    [0, 0, 3],
  )
})

test('a target that a reload brings back is new, though its row was kept for calls on an older config', async () => {
  const { table, rows, pass, overseer, blueprint, open } = setUp(2)
  await pass(60_000)
  const without = { ...blueprint, targets: blueprint.targets.slice(0, 1) }
  overseer.adopt(without)
  await pass(60_000)
  const sinceOf = (index: number) => table.load(rows[index] ?? 0, Cell.since)
  const before = [sinceOf(0), sinceOf(1)]
  overseer.adopt(blueprint)
  assert.deepEqual([sinceOf(0), sinceOf(1)], [before[0], table.now])
  await pass(60_000)
  overseer.close()
  open(without)
  assert.deepEqual([sinceOf(0), sinceOf(1)], [before[0], table.now], 'also where another one takes over')
})

test('an ejection that comes with a reload counts from then on', async () => {
  const successRate = { minimumHosts: 2, requestVolume: 10, stdevFactor: 0.5, gap: 0.05 }
  const { table, rows, pass, overseer, blueprint, flags } = setUp(3)
  for (const row of rows) table.store(row, Cell.calls, 50)
  table.store(rows[2] ?? 0, Cell.failures, 50)
  await pass(60_000)
  overseer.adopt({ ...blueprint, ejection: { ...ejection, successRate } })
  await pass(20_000)
  assert.deepEqual(flags(), [0, 0, 0])
})

test('targets come and go with the rows of the workers', async () => {
  const { table, rows, pass, overseer, closed, asked } = setUp(2)
  await pass(1_500)
  rows.pop()
  rows.push(table.claim('https://shop.test:443 10.0.0.9'))
  await pass(12_000)
  assert.deepEqual(
    overseer.status.map(({ target, address }) => `${target} ${address}`),
    ['http://10.0.0.0:80 10.0.0.0', 'https://shop.test:443 10.0.0.9'],
  )
  assert.deepEqual(closed, ['10.0.0.1'])
  assert.ok(asked.includes('10.0.0.9'))
})

test('who takes over after a reload knows what was known, and tells nothing twice', async () => {
  const { problems, pass, open, ports, table, rows, overseer } = setUp(2)
  problems['10.0.0.1'] = 'refused'
  await pass(6_000)
  eject(table, rows[0] ?? 0, rows, ejection, 'consecutive')
  await pass(100)
  const told = ports.lines.length
  overseer.close()
  const next = open()
  const states = () => next.status.map(({ state }) => state)
  assert.deepEqual(states(), ['ejected', 'unhealthy'], 'at once: somebody may look before the first beat')
  next.beat(ports.time.nowMs)
  assert.deepEqual(states(), ['ejected', 'unhealthy'])
  assert.equal(ports.lines.length, told)
})

test('an upstream that changes while checks and an interval are under way: both go on, by what it says now', async () => {
  const successRate = { minimumHosts: 2, requestVolume: 10, stdevFactor: 0.5, gap: 0.05 }
  const { problems, pass, flags, overseer, blueprint, table, rows, asked } = setUp(3)
  problems['10.0.0.1'] = 'refused'
  await pass(4_500)
  assert.deepEqual(flags(), [0, 0, 0])
  overseer.adopt({ ...blueprint, ejection: { ...ejection, successRate } })
  await pass(1_000)
  assert.equal(asked.filter(address => address === '10.0.0.1').length, 3)
  assert.deepEqual(flags(), [0, Flag.unhealthy, 0])
  for (const row of rows) table.store(row, Cell.calls, 50)
  table.store(rows[2] ?? 0, Cell.failures, 40)
  await pass(5_000)
  assert.deepEqual(flags(), [0, Flag.unhealthy, Flag.ejected])
})
