import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OverloadBlueprint } from '../core/overload-schema.ts'
import type { Labels, Log, Meter } from '../core/ports.ts'
import { OverloadGuard } from './overload-guard.ts'

const memory = { enabled: true, limit: 1000, low: 0.7, normal: 0.8, high: 0.9, resume: 0.9 }
const settings: OverloadBlueprint = { memory, delay: null, descriptors: { reserve: null }, retryAfter: 1_500 }

const series = (name: string, labels: Labels) => [name, ...Object.values(labels)].join(' ')

function start(changed: Partial<OverloadBlueprint> = {}, descriptors: number | null = 1000) {
  const values = new Map<string, number>()
  const lines: string[] = []
  const meter: Meter = {
    counter: (name, labels) => {
      const key = series(name, labels)
      return { add: amount => void values.set(key, (values.get(key) ?? 0) + amount) }
    },
    gauge: (name, labels) => ({ set: value => void values.set(series(name, labels), value) }),
    histogram: () => assert.fail('no histogram is made'),
  }
  const line = (fields: object) => void lines.push(JSON.stringify(fields))
  const log: Log = { debug: line, info: line, warn: line, error: line }
  const used = { resident: 0, heap: 0, garbage: 0, collectMs: 0 }
  let collections = 0
  const resources = {
    memoryBytes: 5000,
    residentBytes: () => used.resident,
    trackedBytes: () => used.resident,
    heap: () => ({ usedBytes: used.heap, limitBytes: 100 }),
    collect: () => {
      collections++
      used.resident -= used.garbage
      used.garbage = 0
      return used.collectMs
    },
    descriptors,
  }
  const guard = new OverloadGuard({ meter, log, resources, beatMs: 100 })
  guard.adopt({ ...settings, ...changed })
  let nowMs = 5_000
  /** Beats come so late, one after the other. */
  const beat = (...lateMs: number[]) => {
    for (const late of lateMs) guard.beat((nowMs += 100 + late))
  }
  beat(0)
  return { guard, used, beat, values, lines, collections: () => collections }
}

test('memory: calls are refused by priority, and taken again one after the other', () => {
  const { guard, used, beat, values, lines } = start()
  const levels = [699, 700, 800, 900, 811, 809, 719, 630, 629].map(bytes => {
    used.resident = bytes
    // The second that a level stands is over.
    beat(1000)
    return guard.level
  })
  assert.deepEqual(levels, [0, 1, 2, 3, 3, 2, 1, 1, 0])
  assert.equal(values.get('turnpike_overload_pressure_ratio memory'), 629 / 800)
  assert.equal(values.get('turnpike_overload_level memory'), 0)
  assert.equal(lines.length, 6)
  assert.match(lines[1] ?? '', /"reason":"memory","level":2,"value":800,"bound":800,"refused":\["low","normal"\]/)
})

test('memory: without a limit in the config it is what the process may have', () => {
  const { guard, used, beat, values } = start({ memory: { ...memory, limit: null } })
  used.resident = 3499
  beat(0)
  assert.equal(guard.level, 0)
  used.resident = 3500
  beat(0)
  assert.equal(guard.level, 1)
  assert.equal(values.get('turnpike_overload_memory_limit_bytes'), 5000)
})

test('memory: garbage is collected first, every two seconds at most and for a twentieth of the time', () => {
  const { guard, used, beat, collections } = start()
  Object.assign(used, { resident: 1000, garbage: 400 })
  beat(0)
  assert.deepEqual([guard.level, collections()], [0, 1])
  Object.assign(used, { resident: 1000, garbage: 300, collectMs: 500 })
  beat(0)
  assert.deepEqual([guard.level, collections()], [3, 1])
  beat(1_700)
  assert.deepEqual([guard.level, collections()], [3, 1])
  beat(0)
  assert.deepEqual([guard.level, collections()], [1, 2])
  beat(9_700)
  assert.equal(collections(), 2)
  beat(200)
  assert.equal(collections(), 3)
})

test('heap: the same bounds hold for the heap of the thread', () => {
  const { guard, used, beat, values } = start()
  used.heap = 95
  beat(0)
  assert.equal(guard.level, 3)
  const reply = guard.refuse(1)
  assert.deepEqual([reply.status, reply.code, reply.headers.get('retry-after')], [503, 'gateway-overloaded', '2'])
  assert.equal(values.get('turnpike_overload_refusals heap normal'), 1)
})

const delay = { low: 250, normal: 500, high: 1000, resume: 0.5 }

test('memory: refuses nothing and collects nothing once it is switched off, and again when it is switched on', () => {
  const { guard, used, beat, values, collections } = start()
  used.resident = 950
  used.heap = 99
  beat(1000)
  assert.equal(guard.level, 3)
  const before = collections()
  guard.adopt({ ...settings, memory: { ...memory, enabled: false } })
  beat(3000, 3000)
  assert.deepEqual([guard.level, collections() - before], [0, 0])
  assert.equal(values.get('turnpike_overload_level memory'), 0)
  assert.equal(values.get('turnpike_overload_level heap'), 0)
  assert.equal(values.get('turnpike_overload_memory_limit_bytes'), Infinity)
  guard.adopt(settings)
  beat(1000)
  assert.equal(guard.level, 3)
})

test('delay: of five beats the second largest counts', () => {
  const { guard, beat } = start({ delay })
  beat(5_000, 0, 0, 0, 0, 5_000)
  assert.equal(guard.level, 0)
  beat(300)
  assert.equal(guard.level, 1)
  beat(0, 0, 1_000)
  assert.equal(guard.level, 3)
})

test('delay: crowds of calls with short turns between them are one queue', () => {
  const { guard, beat } = start({ delay })
  beat(0, 700, 50)
  for (let i = 0; i < 20; i++) {
    beat(50, 700)
    assert.equal(guard.level, 2)
    beat(50)
    assert.equal(guard.level, 2)
  }
  beat(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
  assert.equal(guard.level, 0)
})

test('delay: refuses nothing where the config does not name it, and no more after a reload', () => {
  const late = [2_000, 2_000, 2_000, 2_000] as const
  const off = start()
  off.beat(...late)
  assert.equal(off.guard.level, 0)
  const on = start({ delay })
  on.beat(...late)
  assert.equal(on.guard.level, 3)
  on.guard.adopt(settings)
  on.beat(2_000)
  assert.equal(on.guard.level, 0)
})

test('a refusal is counted under the first reason that asks for it', () => {
  const { guard, used, beat, values } = start({ delay })
  used.resident = 700
  beat(2_000, 2_000, 2_000)
  guard.refuse(0)
  guard.refuse(2)
  assert.equal(values.get('turnpike_overload_refusals memory low'), 1)
  assert.equal(values.get('turnpike_overload_refusals delay high'), 1)
})

test('descriptors: an eighth is kept from clients, at most 1024, or what the config says, but never more than half', () => {
  assert.equal(start().guard.clientDescriptors, 875)
  assert.equal(start({}, 1_000_000).guard.clientDescriptors, 1_000_000 - 1024)
  assert.equal(start({ descriptors: { reserve: 90 } }).guard.clientDescriptors, 910)
  assert.equal(start({ descriptors: { reserve: 2_000 } }).guard.clientDescriptors, 500)
  assert.equal(start({}, null).guard.clientDescriptors, Infinity)
})
