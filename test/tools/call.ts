// Calls, steps, bodies and ports for unit tests: no sockets, no real time.

import { Body, type BodySource, type Sink } from '../../src/core/body.ts'
import { Call, type Peer } from '../../src/core/call.ts'
import type { Consumer, Identity } from '../../src/core/consumers.ts'
import type { Failure } from '../../src/core/failure.ts'
import { Headers } from '../../src/core/headers.ts'
import type { LimitStore, LimitStoreOptions } from '../../src/core/limits.ts'
import type { PermitStore, PermitStoreOptions } from '../../src/core/permits.ts'
import { createMarkMemory, Marks } from '../../src/core/marks.ts'
import { type Outside, OutsideError } from '../../src/core/outside.ts'
import { compilePattern } from '../../src/core/pattern.ts'
import { decodePath } from '../../src/core/percent.ts'
import type { Closable, EndPorts, PolicyDefinition, PolicyPorts } from '../../src/core/policy.ts'
import type { Log, SharedCounter } from '../../src/core/ports.ts'
import { Purges } from '../../src/core/purges.ts'
import type { Reply } from '../../src/core/reply.ts'
import type { Step } from '../../src/core/step.ts'

export interface CallOptions {
  readonly method?: string
  readonly target?: string
  /** Host as sent, port included. */
  readonly host?: string
  readonly headers?: Record<string, string> | readonly (readonly [string, string])[]
  readonly body?: Body | string
  readonly clientAddress?: string
  /** Pattern of the matched route. */
  readonly pattern?: string
  readonly peer?: Partial<Peer>
}

/** A call as the edge would make it: `GET / HTTP/1.1`, `Host: api.acme.test`, from 192.0.2.1. */
export function makeCall(options: CallOptions = {}): Call {
  const { method = 'GET', target = '/', host = 'api.acme.test', body = Body.empty } = options
  const question = target.indexOf('?')
  const rawPath = question < 0 ? target : target.slice(0, question)
  const headers = Headers.of([['Host', host]])
  for (const [name, value] of Headers.of(options.headers ?? [])) headers.add(name, value)
  const peer = {
    port: 50000,
    local: { address: '192.0.2.9', port: 8080 },
    isTrusted: false,
    scheme: 'http',
    listener: '8080',
    certificate: null,
    ...options.peer,
  } as const
  const call = new Call({
    method,
    target,
    path: decodePath(rawPath) ?? rawPath,
    query: question < 0 ? '' : target.slice(question),
    host: host.toLowerCase().replace(/:\d+$/, ''),
    headers,
    body: typeof body === 'string' ? Body.of(body) : body,
    peer: { ...peer, address: options.peer?.address ?? options.clientAddress ?? '192.0.2.1' },
    startedMs: 0,
  })
  if (options.clientAddress !== undefined) call.clientAddress = options.clientAddress
  if (options.pattern !== undefined) call.pattern = compilePattern(options.pattern)
  return call
}

/** A step that answers with what `answer` makes, and keeps the calls that reached it. */
export function makeNext(answer: (call: Call) => Reply | Promise<Reply>): Step & { readonly calls: readonly Call[] } {
  const calls: Call[] = []
  const next = async (call: Call): Promise<Reply> => {
    calls.push(call)
    return answer(call)
  }
  return Object.assign(next, { calls })
}

export interface FakeWorld {
  /** Texts of files that options name, by path. */
  readonly files?: Readonly<Record<string, string>>
  /** Keys and what they lead to. */
  readonly keys?: Readonly<Record<string, Identity>>
  /** Other credentials, by `kind:lookup`. */
  readonly credentials?: Readonly<Record<string, Identity>>
  /** Consumers by name. */
  readonly consumers?: Readonly<Record<string, Consumer>>
  /** Members of the lists of denials, by the list's name. */
  readonly denied?: Readonly<Record<string, readonly string[]>>
  /** Other servers. */
  readonly outside?: Partial<Outside>
  /** What remembered replies may take. */
  readonly replyBytes?: number
  /** What counts for limits. */
  readonly limits?: (options: LimitStoreOptions) => LimitStore
  /** What counts calls under way together with other gateways. */
  readonly permits?: (options: PermitStoreOptions) => PermitStore
  /** Policies that may stand inside the options of others. */
  readonly policies?: readonly PolicyDefinition[]
}

export type FakePorts = EndPorts &
  PolicyPorts & {
    /** Identities that were noted as used. */
    readonly used: readonly Identity[]
    /** Moves the clock. */
    advance(ms: number): void
    /** How many are taken of each shared counter that was ever asked for. */
    readonly taken: ReadonlyMap<string, number>
  }

/** Ports with a clock that stands still until `advance`, and counters that live in this thread. */
export function fakePorts(upstreams: Readonly<Record<string, Step>> = {}, world: FakeWorld = {}): FakePorts {
  let nowMs = 1000
  const taken = new Map<string, number>()
  const used: Identity[] = []
  const kept = new Map<string, Closable>()
  const ports: FakePorts = {
    identities: {
      key: text => world.keys?.[text] ?? null,
      find: (kind, lookup) => world.credentials?.[`${kind}:${lookup}`] ?? null,
      why: () => 'unknown',
      consumer: name => world.consumers?.[name] ?? null,
      used: identity => void used.push(identity),
    },
    used,
    denials: { isDenied: (list, value) => world.denied?.[list]?.includes(value) ?? false },
    outside: {
      fetch: request => Promise.reject(new OutsideError('unreachable', `the test has no server for ${request.url}`)),
      rpc: request => Promise.reject(new OutsideError('unreachable', `the test has no server for ${request.url}`)),
      ...world.outside,
    },
    workers: 1,
    purges: new Purges(),
    marks: new Marks(createMarkMemory(), [1, 2]),
    replyBytes: world.replyBytes ?? 10_000_000,
    limits(options) {
      if (world.limits === undefined) throw new Error('the test has no store of counts')
      return world.limits(options)
    },
    permits(options) {
      if (world.permits === undefined) throw new Error('the test has no store of permits')
      return world.permits(options)
    },
    policy(part, index, place) {
      const definition = world.policies?.find(({ name }) => name === part.policy)
      if (definition === undefined) throw new Error(`the test has no policy ${part.policy}`)
      return definition.build(part.options, ports, { ...place, key: `${place.key}/${index}/${part.policy}` })
    },
    file(path) {
      const text = world.files?.[path]
      if (text === undefined) throw new Error(`the test has no file ${path}`)
      return text
    },
    keep<T extends Closable>(key: string, make: () => T): T {
      const thing = (kept.get(key) as T | undefined) ?? make()
      kept.set(key, thing)
      return thing
    },
    clock: { now: () => nowMs, wall: () => Date.UTC(2026, 0, 1) + nowMs },
    deadlines: { add: () => {}, remove: () => {} },
    random: () => 0.5,
    log: silentLog,
    shared: { counter: key => fakeCounter(key, taken) },
    meter: {
      counter: () => ({ add: () => {} }),
      gauge: () => ({ set: () => {} }),
      histogram: () => ({ record: () => {} }),
    },
    upstream(name) {
      const send = upstreams[name]
      if (send === undefined) throw new Error(`the test has no upstream ${name}`)
      return { name, send }
    },
    advance(ms) {
      nowMs += ms
    },
    taken,
  }
  return ports
}

const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

function fakeCounter(key: string, taken: Map<string, number>): SharedCounter {
  if (!taken.has(key)) taken.set(key, 0)
  const count = () => taken.get(key) ?? 0
  return {
    tryTake(limit) {
      if (count() >= limit) return false
      taken.set(key, count() + 1)
      return true
    },
    give: () => void taken.set(key, count() - 1),
    taken: count,
  }
}

/** A body whose chunks the test pushes by hand. */
export class ManualSource implements BodySource {
  sink: Sink | null = null
  resumes = 0
  isCancelled = false

  /** A body over a new source. */
  static body(length = -1): { body: Body; source: ManualSource } {
    const source = new ManualSource()
    return { body: new Body(length, source), source }
  }

  start(sink: Sink): void {
    this.sink = sink
  }

  resume(): void {
    this.resumes++
  }

  cancel(): void {
    this.isCancelled = true
  }

  push(text: string): boolean {
    if (this.sink === null || this.isCancelled) throw new Error('nobody takes this body')
    return this.sink.write(Buffer.from(text))
  }
}

/** Keeps what was written into it. */
export class RecordingSink implements Sink {
  text = ''
  isEnded = false
  trailers: Headers | null = null
  failure: Failure | null = null
  hasRoom = true

  write(chunk: Buffer): boolean {
    this.text += chunk.toString('latin1')
    return this.hasRoom
  }

  end(trailers: Headers | null): void {
    this.isEnded = true
    this.trailers = trailers
  }

  fail(failure: Failure): void {
    this.failure = failure
  }
}
