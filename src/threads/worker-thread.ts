// Entry of a worker thread: messages in, messages out, and what happens when something throws that nothing caught.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { DeadlineTable } from '../core/deadlines.ts'
import { Marks } from '../core/marks.ts'
import type { Log } from '../core/ports.ts'
import { createDirectory, type Directory } from '../identity/directory.ts'
import { type ConfigReader, createConfigReader } from '../stores/config/reader.ts'
import { createSharedCounters } from '../stores/shared-counters.ts'
import { SqliteReader } from '../stores/sqlite/reader.ts'
import { createRemoteLog } from '../telemetry/log.ts'
import { createMeter } from '../telemetry/meter.ts'
import { startThreadGauges } from '../telemetry/thread-gauges.ts'
import { beatMs, clock } from './clock.ts'
import { consumersFile } from './consumers-file.ts'
import { startIdleCollection } from './idle-collection.ts'
import { loadLanguage } from './language.ts'
import { WorkerLimits } from './limit-stores.ts'
import type { Edition, FromWorker, ToWorker, WorkerStart } from './messages.ts'
import { OverloadGuard } from './overload-guard.ts'
import { ownResources } from './own-resources.ts'
import { createSharedTime } from './shared-time.ts'
import { version } from './version.ts'
import { WorkerCore } from './worker.ts'

const reportMs = 1_000

if (parentPort !== null) await start(parentPort, workerData as WorkerStart)

async function start(port: MessagePort, data: WorkerStart): Promise<void> {
  refuseOtherProgram(data.program)
  const post = (message: FromWorker) => port.postMessage(message)
  const log = createRemoteLog(line => post({ kind: 'log', line }))
  const meter = createMeter({ page: data.page, announce: news => post({ kind: 'metrics', news }) })
  surviveThrown(post, log)
  const time = createSharedTime()
  const countersFull = meter.counter('turnpike_ceiling_hits', { ceiling: 'shared-counters', name: 'all' })
  const shared = createSharedCounters({ memory: data.counters, worker: data.index, onFull: () => countersFull.add(1) })
  const limits = new WorkerLimits({
    ...{ worker: data.index, time, log, clock, meter, shared },
    // Random, and the same in all workers of this gateway.
    gatewayId: data.counters.seed.join(),
  })
  const reader = createReader(data, post)
  const deadlines = new DeadlineTable()
  const kept = { memory: data.memory, seed: data.counters.seed }
  const directory = createDirectory({ reader, clock, deadlines, meter, log, ...kept })
  // Also where the thread ends itself after a drain: what was booked in advance is not lost.
  process.once('exit', () => {
    limits.close()
    directory.close()
    reader.close()
  })
  const resources = ownResources({ tracked: data.memoryUse, place: data.index })
  const overload = new OverloadGuard({ meter, log, beatMs, resources })
  const core = new WorkerCore({
    ...{ clock, log, meter, shared },
    ...{ deadlines, identities: directory.identities, denials: directory.denials },
    limits: (options, edition, keep) => limits.of(options, edition, keep),
    permits: (options, edition, keep) => limits.permits(options, edition, keep),
    rows: name => limits.row(name),
    language: await loadLanguage(data.extensions),
    ...{ tickets: data.tickets, challenges: data.challenges },
    ...{ sharedClock: time, marks: new Marks(data.marks, data.counters.seed) },
    overload,
  })
  startBeats(core, overload)
  startIdleCollection(() => core.connections)
  startThreadGauges({ meter, clock, deadlines: core.deadlines })
  listen(port, { core, reader, directory, limits, overload, post, log })
  post({ kind: 'started' })
}

/** The files may have been exchanged under a running process; what threads share is laid out by the version that it was started as. */
function refuseOtherProgram(program: string): void {
  const found = version()
  if (found === program) return
  throw new Error(`the process is Turnpike ${program}, but its files are those of ${found} now: restart it`)
}

function createReader({ data }: WorkerStart, post: (message: FromWorker) => void): ConfigReader {
  return createConfigReader(planLimits => {
    if (data === null) return null
    return new SqliteReader({ path: consumersFile(data), planLimits, used: times => post({ kind: 'used', times }) })
  })
}

/** The guard first: a beat that is late is late for it too. */
function startBeats(core: WorkerCore, overload: OverloadGuard): void {
  let lastMs = clock.now()
  const beat = () => {
    const nowMs = clock.now()
    overload.beat(nowMs)
    // What came while the thread stood still is read first: clients are not cut off for a wait that was ours.
    if (nowMs - lastMs > 2 * beatMs) setImmediate(() => core.deadlines.beat(nowMs))
    else core.deadlines.beat(nowMs)
    lastMs = nowMs
  }
  setInterval(beat, beatMs).unref()
  setInterval(() => core.report(), reportMs).unref()
}

/** What messages are about. */
interface Inside {
  readonly core: WorkerCore
  readonly reader: ConfigReader
  readonly directory: Directory
  readonly limits: WorkerLimits
  readonly overload: OverloadGuard
  readonly log: Log
  readonly post: (message: FromWorker) => void
}

function listen(port: MessagePort, inside: Inside): void {
  const { reader, directory, limits, overload } = inside
  let edition: Edition | null = null
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'prepare') {
      edition = message.edition
      limits.tables.begin()
    } else if (message.kind === 'commit' && edition !== null) {
      reader.adopt(edition.entries)
      directory.resize(edition.blueprint.memory)
      overload.adopt(edition.blueprint.overload)
      limits.adopt(message.limits)
    }
    void obey(inside, message)
  })
}

async function obey({ core, limits, log, post }: Inside, message: ToWorker): Promise<void> {
  switch (message.kind) {
    case 'prepare': {
      const { version } = message.edition
      try {
        await core.prepare(message.edition, message)
        post({ kind: 'prepared', version, limits: limits.tables.wanted })
      } catch (error) {
        post({ kind: 'refused', version, reason: error instanceof Error ? error.message : String(error) })
      }
      return
    }
    case 'commit':
      try {
        await core.commit(message.version)
      } catch (error) {
        // A worker without its ports is of no use: another one tries again.
        log.error({ err: error }, 'a worker that joined cannot listen')
        return process.exit(1)
      }
      return post({ kind: 'committed', version: message.version })
    case 'abort':
      await core.abort()
      return post({ kind: 'aborted' })
    case 'drain': {
      const cut = await core.drain(message.drainMs)
      await limits.settle()
      post({ kind: 'drained', cut })
      // What was posted is delivered before the thread ends.
      return process.exit(0)
    }
    case 'purge':
      return post({ kind: 'purged', count: core.purges.purge(message.purge) })
    case 'challenges':
      core.challenges = message.answers
      return post({ kind: 'challenges-known' })
    case 'reopen-log':
      return core.reopenLog().catch((error: unknown) => log.error({ err: error }, 'the access log cannot be reopened'))
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
