// What a thread says about itself: how late its event loop runs, how busy it is, how much heap it uses.

import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { Clock, Deadlines, Meter, Timed } from '../core/ports.ts'

export interface ThreadGaugesOptions {
  readonly meter: Meter
  readonly clock: Clock
  readonly deadlines: Deadlines
}

const windowMs = 10_000
/** How often the delay is sampled; each sample wakes the thread, so this is a compromise. */
const resolutionMs = 20
const quantiles: [label: string, percentile: number][] = [
  ['0.5', 50],
  ['0.99', 99],
  ['1', 100],
]

/** Starts to measure; the gauges change every ten seconds, until the returned function is called. */
export function startThreadGauges({ meter, clock, deadlines }: ThreadGaugesOptions): () => void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  const delayGauges = quantiles.map(([quantile]) => meter.gauge('turnpike_event_loop_delay_seconds', { quantile }))
  const utilization = meter.gauge('turnpike_event_loop_utilization_ratio', {})
  const heapUsed = meter.gauge('turnpike_thread_heap_used_bytes', {})
  let last = performance.eventLoopUtilization()
  const measure = () => {
    quantiles.forEach(([, percentile], index) => {
      // The histogram holds the time between samples, which is the resolution where nothing is late.
      const lateMs = delay.count === 0 ? 0 : delay.percentile(percentile) / 1e6 - resolutionMs
      delayGauges[index]?.set(Math.max(0, lateMs) / 1000)
    })
    delay.reset()
    const now = performance.eventLoopUtilization()
    utilization.set(performance.eventLoopUtilization(now, last).utilization)
    last = now
    heapUsed.set(getHeapStatistics().used_heap_size)
  }
  const beat: Timed = {
    dueMs: clock.now() + windowMs,
    slot: -1,
    due: nowMs => {
      beat.dueMs = nowMs + windowMs
      measure()
    },
  }
  delay.enable()
  heapUsed.set(getHeapStatistics().used_heap_size)
  deadlines.add(beat)
  return () => {
    deadlines.remove(beat)
    delay.disable()
  }
}
