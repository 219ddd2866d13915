// What all connections of one listener share: limits, clocks, the runtime in force, and who is told when a call is over.

import type { ListenerBlueprint, PathsBlueprint } from '../core/blueprint.ts'
import { Body } from '../core/body.ts'
import { Call, type Peer } from '../core/call.ts'
import type { FailureCode } from '../core/codes.ts'
import type { Failure } from '../core/failure.ts'
import type { FinishedCall } from '../core/finished-call.ts'
import { Headers } from '../core/headers.ts'
import type { Clock, Deadlines, Log } from '../core/ports.ts'
import type { Reply } from '../core/reply.ts'
import type { Step } from '../core/step.ts'
import type { HeadLimits } from '../http/limits.ts'
import { hostName } from '../http/request.ts'
import type { Connection } from './connection.ts'

/** What the edge needs from the rest of its worker. */
export interface EdgePorts {
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly log: Log
  /** Where plain sockets of this worker read into. */
  readonly scratch: Buffer
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
  /** Calls without a finished reply. */
  activeCalls = 0
  readonly connections: Set<Connection> = new Set()
  /** Connections that became tunnels. */
  readonly tunnels: Set<Connection> = new Set()
  readonly hostOf: (host: string) => string = createHostReader()
  readonly scratch: Buffer
  readonly #ports: EdgePorts
  #dateMs = 0
  #dateField = ''

  constructor(
    blueprint: ListenerBlueprint,
    paths: PathsBlueprint,
    isTrusted: (address: string) => boolean,
    ports: EdgePorts,
  ) {
    this.name = blueprint.name
    this.clock = ports.clock
    this.deadlines = ports.deadlines
    this.log = ports.log
    this.scratch = ports.scratch
    this.#ports = ports
    this.limits = headLimits(blueprint)
    this.timeouts = blueprint.timeouts
    this.paths = paths
    this.isTrusted = isTrusted
    this.tunnelIdleMs = blueprint.timeouts.tunnel
  }

  /** Takes over the settings of a changed listener; they hold for what is read from now on. */
  adopt(blueprint: ListenerBlueprint, paths: PathsBlueprint, isTrusted: (address: string) => boolean): void {
    this.name = blueprint.name
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

  /** Stands for a request that could not be read. */
  refusedCall(peer: Peer, startedMs: number): Call {
    return new Call({
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
  }

  /** The Date field of replies that have none (RFC 9110 §6.6.1); made once per second. */
  dateField(): string {
    const nowMs = this.clock.now()
    if (nowMs - this.#dateMs >= 1000 || this.#dateField === '') {
      const wallMs = this.clock.wall()
      this.#dateMs = nowMs - (wallMs % 1000)
      this.#dateField = `date: ${new Date(wallMs).toUTCString()}\r\n`
    }
    return this.#dateField
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
