// What all connections of one listener share: limits, clocks, the runtime in force, and who is told when a call is over.

import type { PathsBlueprint } from '../core/blueprint.ts'
import { Body } from '../core/body.ts'
import { Call, type Peer } from '../core/call.ts'
import type { FailureCode } from '../core/codes.ts'
import type { Failure } from '../core/failure.ts'
import type { FinishedCall } from '../core/finished-call.ts'
import { Headers } from '../core/headers.ts'
import type { ListenerBlueprint } from '../core/listener-schema.ts'
import type { Clock, Deadlines, Log, Timed } from '../core/ports.ts'
import type { Reply } from '../core/reply.ts'
import type { Step } from '../core/step.ts'
import type { HeadLimits } from '../http/limits.ts'
import { hostName } from '../http/request.ts'
import type { WriteBatch } from '../http/write-batch.ts'
import type { Ceiling } from '../http2/session.ts'
import type { SharedMemory } from '../http2/shared-memory.ts'

/** What the bounds on HTTP/2 connections are called in metrics, behind `http2-`. */
export type Http2Ceiling = Ceiling | 'stalls'

/** What the edge needs from the rest of its worker. */
export interface EdgePorts {
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly log: Log
  /** Where plain sockets of this worker read into. */
  readonly scratch: Buffer
  readonly writes: WriteBatch
  readonly http2Memory: SharedMemory
  /** The step of the runtime in force now; a call stays on the one it got. */
  answer: Step
  /** Told once for every call. */
  observe(event: FinishedCall): void
}

/**
 * How long an idle connection stays open when its listener drains: the client may just have sent a call. A client that was
 * quiet for so long most likely has not.
 */
const partingMs = 500

/** What a listener knows of each of its connections, whatever is spoken on it. */
export interface EdgeConnection extends Timed {
  readonly isIdle: boolean
  /** Starts to read. */
  read(): void
  /** The client has sent its last byte. */
  ended(): void
  /** The socket has room again. */
  drained(): void
  /** To be called when the gate drains: the connection ends when its calls have. */
  drain(): void
  /** The socket is gone, or is to go. */
  closed(): void
}

/** The head stands from `start` to `end`, and behind it what else was read. False: it is not HTTP/2. */
export type TakeOver = (bytes: Buffer, start: number, end: number) => boolean

/** Shared by all connections of one listener in one worker. */
export class Gate {
  name: string
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly log: Log
  limits: HeadLimits
  timeouts: ListenerBlueprint['timeouts']
  paths: PathsBlueprint
  isTrusted: (address: string) => boolean
  tunnelIdleMs: number
  /** Set when the worker stops: replies say `Connection: close`. */
  isDraining = false
  readonly partingMs: number = partingMs
  /** Calls without a finished reply. */
  activeCalls = 0
  readonly connections: Set<EdgeConnection> = new Set()
  /** Connections that became tunnels. */
  readonly tunnels: Set<EdgeConnection> = new Set()
  http2: ListenerBlueprint['http2']
  readonly http2Memory: SharedMemory
  /** Counts that a bound on HTTP/2 connections was hit. */
  readonly hitHttp2: (ceiling: Http2Ceiling) => void
  readonly hostOf: (host: string) => string = createHostReader()
  readonly scratch: Buffer
  readonly writes: WriteBatch
  readonly #ports: EdgePorts
  #dateMs = 0
  #date = ''
  #dateField = ''

  constructor(
    blueprint: ListenerBlueprint,
    paths: PathsBlueprint,
    isTrusted: (address: string) => boolean,
    ports: EdgePorts,
    hitHttp2: (ceiling: Http2Ceiling) => void,
  ) {
    this.name = blueprint.name
    this.clock = ports.clock
    this.deadlines = ports.deadlines
    this.log = ports.log
    this.scratch = ports.scratch
    this.writes = ports.writes
    this.#ports = ports
    this.http2Memory = ports.http2Memory
    this.http2 = blueprint.http2
    this.hitHttp2 = hitHttp2
    this.limits = headLimits(blueprint)
    this.timeouts = blueprint.timeouts
    this.paths = paths
    this.isTrusted = isTrusted
    this.tunnelIdleMs = blueprint.timeouts.tunnel
  }

  /** Takes over the settings of a changed listener; they hold for what is read from now on. */
  adopt(blueprint: ListenerBlueprint, paths: PathsBlueprint, isTrusted: (address: string) => boolean): void {
    this.name = blueprint.name
    this.http2 = blueprint.http2
    this.limits = headLimits(blueprint)
    this.timeouts = blueprint.timeouts
    this.paths = paths
    this.isTrusted = isTrusted
    this.tunnelIdleMs = blueprint.timeouts.tunnel
  }

  /** When a connection that becomes idle now is closed. */
  get idleDueMs(): number {
    return this.clock.now() + (this.isDraining ? partingMs : this.timeouts.idle)
  }

  /** Connections with a call, tunnels included. */
  get busyConnections(): number {
    let busy = this.tunnels.size
    for (const connection of this.connections) if (!connection.isIdle) busy++
    return busy
  }

  answer(call: Call): Promise<Reply> {
    try {
      return this.#ports.answer(call)
    } catch (thrown) {
      return Promise.reject(thrown)
    }
  }

  finished(
    call: Call,
    status: number,
    failure: Failure | null,
    code: FailureCode | null,
    bytesIn: number,
    bytesOut: number,
  ): void {
    this.#ports.observe({
      call,
      status,
      code: failure?.code ?? code,
      detail: failure === null ? call.refusal : failure.message,
      bytesIn,
      bytesOut,
      totalMs: this.clock.now() - call.startedMs,
      upstreamMs: call.upstreamMs,
      endedMs: this.clock.wall(),
    })
  }

  /** Stands for a request that could not be read, on a connection that speaks this. */
  refusedCall(peer: Peer, startedMs: number, protocol: Call['protocol'] = 'HTTP/1.1'): Call {
    const call = new Call({
      method: '',
      target: '',
      path: '',
      query: '',
      host: '',
      headers: new Headers(),
      body: Body.empty,
      peer,
      startedMs,
    })
    call.protocol = protocol
    return call
  }

  /** The Date field of replies that have none (RFC 9110 §6.6.1); made once per second. */
  dateField(): string {
    this.#tellDate()
    return this.#dateField
  }

  /** The value of that field. */
  date(): string {
    this.#tellDate()
    return this.#date
  }

  #tellDate(): void {
    const nowMs = this.clock.now()
    if (nowMs - this.#dateMs < 1000 && this.#dateField !== '') return
    const wallMs = this.clock.wall()
    this.#dateMs = nowMs - (wallMs % 1000)
    this.#date = new Date(wallMs).toUTCString()
    this.#dateField = `date: ${this.#date}\r\n`
  }
}

function headLimits(blueprint: ListenerBlueprint): HeadLimits {
  const { head, fields, target } = blueprint.limits
  return { headBytes: head, fields, targetBytes: target }
}

/** The name to match of a Host value; remembered for the last value, because a connection's calls name the same host. */
function createHostReader(): (host: string) => string {
  let last = ''
  let name = ''
  return host => {
    if (host !== last) {
      last = host
      name = hostName(host)
    }
    return name
  }
}
