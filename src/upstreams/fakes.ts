// Stand-ins for the tests of this folder: endpoints that play a script, time that is moved by hand.

import { Body, type BodySource, type Sink } from '../core/body.ts'
import { Call, type CallInit } from '../core/call.ts'
import { Failure, type FailureOptions } from '../core/failure.ts'
import type { FailureCode } from '../core/codes.ts'
import { Headers } from '../core/headers.ts'
import type { Deadlines, Labels, Log, Meter, Ports, Timed } from '../core/ports.ts'
import { Reply } from '../core/reply.ts'
import type { Step } from '../core/step.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { type SharedRow, sharedRowSize } from '../core/shared-row.ts'
import { type Endpoint, tellWhenOver, type TryListener } from './endpoint.ts'
import type { StartTimer } from './pause.ts'
import type { Guard } from './resilience/guard.ts'
import { createSender } from './retry.ts'

/** Time, timers and deadlines; `pass` moves them on and lets promises settle in between. */
export class FakeTime implements Deadlines {
  nowMs = 0
  readonly entries = new Set<Timed>()
  readonly timers = new Map<object, { atMs: number; callback: () => void }>()

  readonly clock = { now: () => this.nowMs, wall: () => this.nowMs }

  readonly startTimer: StartTimer = (ms, callback) => {
    const key = {}
    this.timers.set(key, { atMs: this.nowMs + ms, callback })
    return () => this.timers.delete(key)
  }

  add(entry: Timed): void {
    this.entries.add(entry)
  }

  remove(entry: Timed): void {
    this.entries.delete(entry)
  }

  async pass(ms: number, stepMs = ms): Promise<void> {
    const untilMs = this.nowMs + ms
    await settle()
    while (this.nowMs < untilMs) {
      this.nowMs = Math.min(untilMs, this.nowMs + stepMs)
      for (const entry of this.entries) if (entry.dueMs <= this.nowMs) entry.due(this.nowMs)
      for (const [key, timer] of this.timers) {
        if (timer.atMs > this.nowMs) continue
        this.timers.delete(key)
        timer.callback()
      }
      await settle()
    }
  }
}

/** Lets every promise that can settle do so. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

/** Keeps the sums of all counters by name and labels, and every line of the log. */
export class FakePorts implements Ports {
  readonly time = new FakeTime()
  readonly clock = this.time.clock
  readonly deadlines = this.time
  readonly counts: Record<string, number> = {}
  readonly lines: string[] = []
  readonly shared = {
    counter: () => ({ tryTake: () => true, give: () => {}, taken: () => 0 }),
  }
  readonly meter: Meter = {
    counter: (name, labels) => ({ add: amount => this.#count(name, labels, amount) }),
    gauge: () => ({ set: () => {} }),
    histogram: () => ({ record: () => {} }),
  }
  readonly log: Log = {
    debug: () => {},
    info: (_, text) => this.lines.push(`info ${text}`),
    warn: (_, text) => this.lines.push(`warn ${text}`),
    error: (_, text) => this.lines.push(`error ${text}`),
  }
  random: () => number

  constructor(random: () => number = () => 0.5) {
    this.random = random
  }

  #count(name: string, labels: Labels, amount: number): void {
    const key = [name, ...Object.entries(labels).map(([label, value]) => `${label}=${value}`)].join(' ')
    this.counts[key] = (this.counts[key] ?? 0) + amount
  }
}

/** A row as one worker has it; workers that are to share it are given the same numbers. */
export class FakeRow implements SharedRow {
  readonly numbers: Float64Array
  /** Whether a thread has it now. */
  isOpen = false
  /** Whether it can be had. */
  isLost = false
  readonly #time: FakeTime

  constructor(time: FakeTime, numbers: Float64Array = new Float64Array(sharedRowSize + 3)) {
    this.#time = time
    this.numbers = numbers
  }

  open(): number {
    if (this.isOpen) throw new Error('the row was opened twice')
    if (this.isLost) return -1
    this.isOpen = true
    // Rows begin anywhere.
    return 3
  }

  close(): void {
    if (!this.isOpen) throw new Error('the row was closed twice')
    this.isOpen = false
  }

  now(): number {
    return this.#time.nowMs + 1_000_000
  }
}

/** What one try does: answers, breaks, or whatever a function makes of the call. */
export type Act = number | Failure | ((call: Call, isFresh: boolean) => Promise<Reply>)

/** Plays its acts one by one, then answers 200. */
export class FakeEndpoint implements Endpoint {
  readonly id: string
  weight: number
  active = 0
  isClosed = false
  readonly acts: Act[]
  /** `isFresh` of each call that came. */
  readonly sent: boolean[] = []

  constructor(id: string, weight = 1, acts: Act[] = []) {
    this.id = id
    this.weight = weight
    this.acts = acts
  }

  send(call: Call, isFresh: boolean, listener: TryListener): void {
    this.sent.push(isFresh)
    const act = this.acts.shift() ?? 200
    if (act instanceof Failure) listener.failed(act)
    else if (typeof act === 'number') listener.answered(Reply.text(act, this.id))
    else tellWhenOver(act(call, isFresh), listener)
  }

  close(): void {
    this.isClosed = true
  }
}

/** Sends calls by this step, with a guard around them. */
export function guarded(guard: Guard, step: Step, ports: FakePorts): Step {
  const endpoint: Endpoint = {
    ...{ id: 'a', weight: 1, active: 0 },
    send: (call, _, listener) => tellWhenOver(step(call), listener),
    close: () => {},
  }
  return createSender({
    ...{ name: 'catalog', retry: null, budget: null, callMs: null, tellsUnseen: false, observe: null, tell: null },
    ...{ guard, ports, startTimer: ports.time.startTimer },
    pick: () => endpoint,
    noEndpoint: () => failure('upstream-connect-failed'),
  })
}

/** An upstream with nothing but targets; those are for the test to name. */
export const plainBlueprint: UpstreamBlueprint = {
  targets: [],
  protocol: 'http1',
  balance: 'round-robin',
  ...{ hashBy: null, boundedLoad: null, affinity: null },
  ...{ health: null, ejection: null, slowStart: null, failover: { spillBelow: 0, panic: 0 } },
  dns: { refresh: 30_000 },
  tls: { verify: true, serverName: null, ca: null, cert: null, key: null },
  proxyProtocol: null,
  timeouts: { connect: 2000, response: 30_000, idle: 60_000, keepAlive: 60_000, call: null },
  ...{ retry: null, hedge: null, breaker: null, adaptive: null, deadlineHeader: null },
  limits: { connections: 1024, pending: 1024 },
}

export function failure(code: FailureCode, retryable: NonNullable<FailureOptions['retryable']> = 'no'): Failure {
  return new Failure(code, { retryable })
}

export function createCall(init: Partial<CallInit> = {}): Call {
  const peer = {
    address: '192.0.2.1',
    port: 1024,
    local: { address: '192.0.2.9', port: 8080 },
    isTrusted: false,
    scheme: 'http',
    listener: 'test',
    certificate: null,
  } as const
  return new Call({
    method: 'GET',
    target: '/',
    path: '/',
    query: '',
    host: 'api.test',
    headers: new Headers(),
    body: Body.empty,
    peer,
    startedMs: 0,
    ...init,
  })
}

/** A live source: the test pushes, and sees whether it would have been told to stop. */
export class FakeSource implements BodySource {
  sink: Sink | null = null
  hasRoom = false
  isCancelled = false
  resumes = 0

  start(sink: Sink): void {
    this.sink = sink
    this.hasRoom = true
  }

  resume(): void {
    this.resumes++
    this.hasRoom = true
  }

  cancel(): void {
    this.isCancelled = true
  }

  push(chunk: Buffer | string): void {
    if (this.sink === null) throw new Error('not started')
    this.hasRoom = this.sink.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
  }
}

/** Takes chunks, as long as `room` lasts. */
export class FakeSink implements Sink {
  readonly chunks: Buffer[] = []
  room: number
  isEnded = false
  trailers: Headers | null = null
  failure: Failure | null = null
  /** Called after each chunk. */
  onWrite: (() => void) | null = null

  constructor(room = Infinity) {
    this.room = room
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  write(chunk: Buffer): boolean {
    if (this.isEnded || this.failure !== null) throw new Error('a chunk after the end')
    this.chunks.push(chunk)
    this.room -= chunk.length
    this.onWrite?.()
    return this.room > 0
  }

  end(trailers: Headers | null): void {
    if (this.isEnded || this.failure !== null) throw new Error('ended twice')
    this.isEnded = true
    this.trailers = trailers
  }

  fail(cause: Failure): void {
    if (this.isEnded || this.failure !== null) throw new Error('ended twice')
    this.failure = cause
  }
}

/** Reads some of the body, then fails. */
export function readThenFail(bytes: number, cause: Failure): Act {
  return (call: Call) =>
    new Promise((_, reject) => {
      const { body } = call
      const sink = new FakeSink()
      sink.onWrite = () => {
        if (sink.text.length < bytes) return
        body.cancel()
        reject(cause)
      }
      body.pipe(sink)
    })
}
