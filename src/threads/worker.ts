// The inside of a worker thread: its listeners, its runtime and its upstreams, brought from one config to the next.

import { randomFillSync } from 'node:crypto'
import type { Blueprint, TelemetryBlueprint } from '../core/blueprint.ts'
import type { Call } from '../core/call.ts'
import type { Denials, Identities } from '../core/consumers.ts'
import type { DeadlineTable } from '../core/deadlines.ts'
import type { FinishedCall } from '../core/finished-call.ts'
import type { LimitStore, LimitStoreOptions } from '../core/limits.ts'
import type { PermitStore, PermitStoreOptions } from '../core/permits.ts'
import type { Marks } from '../core/marks.ts'
import type { Overload } from '../core/overload.ts'
import type { Closable, PolicyPorts } from '../core/policy.ts'
import { Purges } from '../core/purges.ts'
import type { Clock, Log, Meter, Ports, SharedCounters } from '../core/ports.ts'
import type { SharedRows } from '../core/shared-row.ts'
import { Listener, type ListenerPorts } from '../edge/listener.ts'
import { listenerKey, prepareListener } from '../edge/listener-settings.ts'
import type { TicketMemory } from '../edge/ticket-keys.ts'
import { WriteBatch } from '../http/write-batch.ts'
import { OutsideClient, type OutsideSettings } from '../outside/outside.ts'
import { SharedMemory } from '../http2/shared-memory.ts'
import { compileRuntime, type Runtime } from '../runtime/compile.ts'
import { Epochs } from '../runtime/epochs.ts'
import { Kept } from '../runtime/kept.ts'
import { type AccessLog, createAccessLog } from '../telemetry/access-log.ts'
import { createCallObserver } from '../telemetry/observe.ts'
import { HiddenParameters } from '../telemetry/redact.ts'
import { createIds, createTracing } from '../telemetry/trace.ts'
import type { SharedClock } from '../upstreams/health/target-memory.ts'
import { createHttpUpstream } from '../upstreams/http-upstream.ts'
import { sharedRowsOf } from '../upstreams/sending.ts'
import type { OwnedUpstream } from '../upstreams/upstream.ts'
import { upstreamPem } from '../upstreams/upstream-tls.ts'
import type { Language } from './language.ts'
import type { Berth, Edition } from './messages.ts'

export interface WorkerPorts {
  readonly clock: Clock
  readonly log: Log
  readonly meter: Meter
  readonly shared: SharedCounters
  readonly deadlines: DeadlineTable
  readonly identities: Identities
  readonly denials: Denials
  limits(options: LimitStoreOptions, edition: Edition, keep: PolicyPorts['keep']): LimitStore
  permits(options: PermitStoreOptions, edition: Edition, keep: PolicyPorts['keep']): PermitStore
  readonly rows: SharedRows
  readonly language: Language
  readonly tickets: TicketMemory
  /** What proves names to ACME servers when the worker starts. */
  readonly challenges: ReadonlyMap<string, string>
  readonly marks: Marks
  /** Runs alike in all threads. */
  readonly sharedClock: SharedClock
  readonly overload: Overload & { readonly clientDescriptors: number }
}

/** The most that is read from a plain socket at once. */
const scratchBytes = 65_536

/** A config that is built and waits to be put in force. */
interface Prepared {
  readonly edition: Edition
  readonly epoch: number
  readonly runtime: Runtime
  readonly settings: ReadonlyMap<string, ReturnType<typeof prepareListener>>
  readonly opened: ReadonlyMap<string, Listener>
  /** Undefined: as it was. */
  readonly accessLog: AccessLog | null | undefined
}

/** Everything one worker owns. */
export class WorkerCore {
  readonly deadlines: DeadlineTable
  readonly purges: Purges = new Purges()
  /** What proves names to ACME servers, by token. */
  challenges: ReadonlyMap<string, string>
  readonly #ports: WorkerPorts
  readonly #inner: Ports
  readonly #edge: ListenerPorts
  readonly #epochs = new Epochs()
  readonly #outside: OutsideClient
  #outbound: OutsideSettings = { allow: [], ca: null }
  readonly #upstreams = new Kept<OwnedUpstream>()
  readonly #things = new Kept<Closable>()
  readonly #hidden = new HiddenParameters()
  readonly #openUpstreams = new Set<OwnedUpstream>()
  readonly #listeners = new Map<string, Listener>()
  readonly #scratch = Buffer.allocUnsafeSlow(scratchBytes)
  readonly #writes = new WriteBatch(setImmediate)
  readonly #http2Memory = new SharedMemory(this.#writes)
  readonly #ids = createIds(bytes => void randomFillSync(bytes))
  #prepared: Prepared | null = null
  #blueprint: Blueprint | null = null
  #accessLog: AccessLog | null = null
  /** Made anew with each config, for it keeps what it found of each route. */
  #count: (event: FinishedCall) => void

  constructor(ports: WorkerPorts) {
    this.#ports = ports
    this.challenges = ports.challenges
    this.#count = createCallObserver(ports.meter)
    this.deadlines = ports.deadlines
    this.#inner = { ...ports, deadlines: this.deadlines, random: Math.random }
    this.#outside = new OutsideClient({ clock: ports.clock, deadlines: this.deadlines, meter: ports.meter })
    this.#edge = {
      ...ports,
      deadlines: this.deadlines,
      scratch: this.#scratch,
      writes: this.#writes,
      http2Memory: this.#http2Memory,
      answer: call => this.#epochs.answer(call),
      observe: event => this.#observe(event),
    }
  }

  /** Builds everything of a config and binds its new ports. Rejects, with nothing changed, where something cannot be built. */
  async prepare(edition: Edition, berth: Berth): Promise<void> {
    await this.abort()
    const { blueprint, files } = edition
    const settings = new Map(
      blueprint.listeners.map(listener => [
        listenerKey(listener),
        prepareListener(listener, blueprint, files, berth.workers),
      ]),
    )
    const runtime = this.#compileAskingBy(edition, berth)
    const opened = new Map<string, Listener>()
    let accessLog: AccessLog | null | undefined
    try {
      accessLog = this.#prepareAccessLog(blueprint.telemetry)
      await runtime.ready()
      for (const [key, setting] of settings) {
        if (this.#listeners.has(key)) continue
        const listener = new Listener(setting, this.#edge)
        opened.set(key, listener)
        if (!berth.open.includes(key)) await listener.listen()
      }
    } catch (error) {
      await this.#undo(runtime, opened, accessLog)
      throw error
    }
    this.#prepared = { edition, epoch: this.#epochs.next(), runtime, settings, opened, accessLog }
  }

  /** Puts the prepared config in force, between two calls. Rejects only where a port that other workers have cannot be bound. */
  async commit(version: number): Promise<void> {
    const prepared = this.#prepared
    if (prepared?.edition.version !== version) throw new Error(`version ${version} was not prepared`)
    this.#prepared = null
    this.#blueprint = prepared.edition.blueprint
    this.#outbound = outboundOf(prepared.edition)
    this.#epochs.swap(prepared.epoch, prepared.runtime)
    this.#count = createCallObserver(this.#ports.meter)
    this.#swapAccessLog(prepared.accessLog)
    for (const [key, listener] of this.#listeners) {
      const settings = prepared.settings.get(key)
      if (settings !== undefined) listener.adopt(settings)
      else {
        this.#listeners.delete(key)
        void this.#retire(listener, prepared.edition.blueprint.drainMs)
      }
    }
    for (const [key, listener] of prepared.opened) {
      this.#listeners.set(key, listener)
      listener.start()
    }
    for (const listener of prepared.opened.values()) if (!listener.isBound) await listener.listen()
  }

  /** Forgets what was prepared; resolves when its ports are closed. */
  async abort(): Promise<void> {
    const prepared = this.#prepared
    if (prepared === null) return
    this.#prepared = null
    await this.#undo(prepared.runtime, prepared.opened, prepared.accessLog)
  }

  /** Stops accepting and finishes calls; resolves with the number of connections that had to be cut. */
  async drain(drainMs: number): Promise<number> {
    await this.abort()
    const cuts = await Promise.all([...this.#listeners.values()].map(listener => this.#retire(listener, drainMs)))
    this.#listeners.clear()
    await this.#accessLog?.close()
    return cuts.reduce((sum, cut) => sum + cut, 0)
  }

  async reopenLog(): Promise<void> {
    await this.#accessLog?.reopen()
  }

  /** Open connections of clients. */
  get connections(): number {
    let count = 0
    for (const { gate } of this.#listeners.values()) count += gate.connections.size + gate.tunnels.size
    return count
  }

  /** Brings gauges up to date. */
  report(): void {
    for (const listener of this.#listeners.values()) listener.report()
    for (const upstream of this.#openUpstreams) upstream.report()
  }

  async #undo(runtime: Runtime, opened: Prepared['opened'], accessLog: Prepared['accessLog']): Promise<void> {
    runtime.release()
    this.#outside.adopt(this.#outbound)
    await Promise.all([...opened.values()].map(listener => listener.destroy()))
    await accessLog?.close()
  }

  /** What is compiled asks other servers by the rules of its own config; those in force stay where it cannot be. */
  #compileAskingBy(edition: Edition, berth: Berth): Runtime {
    this.#outside.adopt(outboundOf(edition))
    try {
      return this.#compile(edition, berth)
    } catch (error) {
      this.#outside.adopt(this.#outbound)
      throw error
    }
  }

  #compile(edition: Edition, { ordinal, workers }: Berth): Runtime {
    const { blueprint, files, watched } = edition
    const { rows } = this.#ports
    for (const [name, upstream] of Object.entries(blueprint.upstreams))
      for (const row of sharedRowsOf(name, upstream)) rows(row)
    return compileRuntime(blueprint, {
      ...this.#ports.language,
      ports: this.#inner,
      policyPorts: {
        identities: this.#ports.identities,
        denials: this.#ports.denials,
        outside: this.#outside,
        purges: this.purges,
        marks: this.#ports.marks,
      },
      limits: (options, keep) => this.#ports.limits(options, edition, keep),
      permits: (options, keep) => this.#ports.permits(options, edition, keep),
      things: this.#things,
      upstreams: this.#upstreams,
      share: { ordinal, workers },
      watched,
      makeUpstream: (name, definition) => {
        const pem = upstreamPem(definition.tls, files)
        const memory = watched.get(name)
        const watch = memory === undefined ? null : { memory, clock: this.#ports.sharedClock }
        const common = { scratch: this.#scratch, writes: this.#writes, http2Memory: this.#http2Memory }
        const share = { ...common, ordinal, workers, rows, watch }
        return this.#trackUpstream(createHttpUpstream(name, definition, pem, share, this.#inner))
      },
      files,
      challenges: blueprint.acme === null ? null : () => this.challenges,
      overload: this.#ports.overload,
      identify: this.#createIdentify(blueprint.telemetry),
      hideParameter: name => this.#hidden.hide(name),
    })
  }

  #trackUpstream(upstream: OwnedUpstream): OwnedUpstream {
    const close = upstream.close.bind(upstream)
    this.#openUpstreams.add(upstream)
    return Object.assign(upstream, {
      close: () => {
        this.#openUpstreams.delete(upstream)
        close()
      },
    })
  }

  #createIdentify(telemetry: TelemetryBlueprint): (call: Call) => void {
    const trace = createTracing(telemetry.trace, this.#ids)
    if (!telemetry.requestId) return call => trace(call.headers)
    return call => {
      const given = call.peer.isTrusted ? call.headers.get('x-request-id') : undefined
      call.id = given ?? this.#ids.requestId()
      if (given === undefined) setRequestId(call)
      trace(call.headers)
    }
  }

  #prepareAccessLog(telemetry: TelemetryBlueprint): AccessLog | null | undefined {
    const before = this.#blueprint?.telemetry.accessLog ?? null
    const { accessLog } = telemetry
    if (this.#blueprint !== null && JSON.stringify(before) === JSON.stringify(accessLog)) return undefined
    if (accessLog === null) return null
    const { clock, meter, log } = this.#ports
    return createAccessLog({ ...accessLog, hidden: this.#hidden, clock, meter, log, deadlines: this.deadlines })
  }

  #swapAccessLog(accessLog: AccessLog | null | undefined): void {
    if (accessLog === undefined) return
    void this.#accessLog?.close()
    this.#accessLog = accessLog
  }

  #observe(event: FinishedCall): void {
    this.#count(event)
    // Before the call is off its runtime, which says what its line must not show.
    this.#accessLog?.write(event)
    this.#epochs.finished(event.call)
  }

  /** Drains a listener within its time; then cuts what is left and says how much that was. */
  async #retire(listener: Listener, drainMs: number): Promise<number> {
    const { gate } = listener
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<number>(resolve => {
      timer = setTimeout(() => resolve(gate.busyConnections), drainMs)
    })
    const cut = await Promise.race([listener.drain().then(() => 0), late])
    clearTimeout(timer)
    void listener.destroy()
    listener.report()
    return cut
  }
}

function outboundOf({ blueprint, files }: Edition): OutsideSettings {
  const { allow, ca } = blueprint.outbound
  return { allow, ca: ca === null ? null : (files[ca] ?? null) }
}

/** Hot path: most calls bring none, and appending is cheaper than `set`. */
function setRequestId({ headers, id }: Call): void {
  if (headers.has('x-request-id')) headers.set('x-request-id', id)
  else headers.list.push('x-request-id', 'x-request-id', id)
}
