import assert from 'node:assert/strict'
import test from 'node:test'
import type { Meter } from '../core/ports.ts'
import { fakeTime } from './fakes.ts'
import { startThreadGauges } from './thread-gauges.ts'

const unused = () => assert.fail('only gauges are made')

test('gauges change every ten seconds, until stopped', async () => {
  const values = new Map<string, number[]>()
  const gauge: Meter['gauge'] = (name, { quantile = '' }) => {
    const list: number[] = []
    values.set(name + quantile, list)
    return { set: value => list.push(value) }
  }
  const { clock, deadlines, pass, watched } = fakeTime()
  const stop = startThreadGauges({ meter: { gauge, counter: unused, histogram: unused }, clock, deadlines })
  await pass(9_999)
  assert.equal(values.get('turnpike_event_loop_utilization_ratio')?.length, 0)
  await pass(1)
  await pass(10_000)
  const delays = ['0.5', '0.99', '1'].map(quantile => values.get(`turnpike_event_loop_delay_seconds${quantile}`) ?? [])
  for (const list of delays) assert.equal(list.length, 2)
  for (const value of delays.flat()) assert.ok(value >= 0 && value < 60)
  const [utilization] = values.get('turnpike_event_loop_utilization_ratio') ?? []
  assert.ok(utilization !== undefined && utilization >= 0 && utilization <= 1)
  assert.ok((values.get('turnpike_thread_heap_used_bytes')?.at(-1) ?? 0) > 1e6)
  stop()
  assert.equal(watched.size, 0)
})
