// Entry of a worker thread: messages in, messages out, and what happens when something throws that nothing caught.

import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { Clock, Log, Meter } from '../core/ports.ts'
import { createSharedCounters } from '../stores/shared-counters.ts'
import { createRemoteLog } from '../telemetry/log.ts'
import { createMeter } from '../telemetry/meter.ts'
import { loadLanguage } from './language.ts'
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts'
import { WorkerCore } from './worker.ts'

/** How often deadlines are looked at, milliseconds; the most that a timeout can come late. */
const beatMs = 100
const reportMs = 1_000
const delayWindowMs = 10_000

const clock: Clock = { now: () => performance.now(), wall: () => Date.now() }

if (parentPort !== null) await start(parentPort, workerData as WorkerStart)

async function start(port: MessagePort, data: WorkerStart): Promise<void> {
  const post = (message: FromWorker) => port.postMessage(message)
  const log = createRemoteLog(line => post({ kind: 'log', line }))
  const meter = createMeter({ page: data.page, announce: news => post({ kind: 'metrics', news }) })
  surviveThrown(post, log)
  const countersFull = meter.counter('turnpike_ceiling_hits', { ceiling: 'shared-counters', name: 'all' })
  const core = new WorkerCore({
    clock,
    log,
    meter,
    shared: createSharedCounters({ memory: data.counters, worker: data.index, onFull: () => countersFull.add(1) }),
    language: await loadLanguage(data.extensions),
    ticketKeys: Buffer.from(data.ticketKeys),
  })
  setInterval(() => core.deadlines.beat(clock.now()), beatMs).unref()
  setInterval(() => core.report(), reportMs).unref()
  watchEventLoop(meter)
  port.on('message', (message: ToWorker) => void obey(core, message, post, log))
  post({ kind: 'started' })
}

async function obey(core: WorkerCore, message: ToWorker, post: (message: FromWorker) => void, log: Log): Promise<void> {
  switch (message.kind) {
    case 'prepare': {
      const { version } = message.edition
      try {
        await core.prepare(message.edition, message)
        post({ kind: 'prepared', version })
      } catch (error) {
        post({ kind: 'refused', version, reason: error instanceof Error ? error.message : String(error) })
      }
      return
    }
    case 'commit':
      core.commit(message.version)
      return post({ kind: 'committed', version: message.version })
    case 'abort':
      return core.abort()
    case 'drain':
      post({ kind: 'drained', cut: await core.drain(message.drainMs) })
      // What was posted is delivered before the thread ends.
      return process.exit(0)
    case 'reopen-log':
      return core.reopenLog().catch(error => log.error({ err: error }, 'the access log cannot be reopened'))
  }
}

/** The worker goes on serving what it has, so that no call is lost, while the main thread puts another in its place. */
function surviveThrown(post: (message: FromWorker) => void, log: Log): void {
  let isSick = false
  const thrown = (error: unknown) => {
    log.error({ err: error }, 'something was thrown that nothing caught; this worker will be replaced')
    if (isSick) return
    isSick = true
    post({ kind: 'sick', reason: error instanceof Error ? error.message : String(error) })
  }
  process.on('uncaughtException', thrown)
  process.on('unhandledRejection', thrown)
}

function watchEventLoop(meter: Meter): void {
  const histogram = monitorEventLoopDelay({ resolution: 20 })
  histogram.enable()
  const p50 = meter.gauge('turnpike_event_loop_delay_seconds', { quantile: '0.5' })
  const p99 = meter.gauge('turnpike_event_loop_delay_seconds', { quantile: '0.99' })
  const utilization = meter.gauge('turnpike_event_loop_utilization_ratio', {})
  const heap = meter.gauge('turnpike_thread_heap_used_bytes', {})
  let last = performance.eventLoopUtilization()
  setInterval(() => {
    p50.set(histogram.percentile(50) / 1e9)
    p99.set(histogram.percentile(99) / 1e9)
    histogram.reset()
    const now = performance.eventLoopUtilization()
    utilization.set(performance.eventLoopUtilization(now, last).utilization)
    last = now
    heap.set(process.memoryUsage().heapUsed)
  }, delayWindowMs).unref()
}
