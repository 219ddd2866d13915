// Answers calls from the store (RFC 9111 §4). What is not fresh there takes the slow path.

import type { Call } from '../../core/call.ts'
import type { Marks } from '../../core/marks.ts'
import type { Clock, Counter, Deadlines, Log, Meter } from '../../core/ports.ts'
import type { Reply } from '../../core/reply.ts'
import type { Layer, Step } from '../../core/step.ts'
import { type Asked, readAsked } from './asked.ts'
import { compileBypass } from './bypass.ts'
import { addCacheStatus, type CacheNote, type CacheOutcome, type Forwarded } from './cache-status.ts'
import { createFetcher } from './fetcher.ts'
import { createInvalidation, placeOf } from './invalidation.ts'
import type { Judgement } from './judge.ts'
import type { Keys } from './key.ts'
import type { Options } from './options.ts'
import { ask } from './question.ts'
import type { ReplyStore } from './reply-store.ts'
import { serve } from './serve.ts'
import { createSlowPath, isFreshFor, ttlOf } from './slow-path.ts'
import type { Resource, Stored } from './stored.ts'
import { findSelected } from './vary.ts'

export interface CachingPorts {
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly marks: Marks
  readonly log: Log
  readonly meter: Meter
  readonly store: ReplyStore
  readonly keys: Keys
  /** For metrics. */
  readonly route: string
}

/** RFC 9110 §9.2.1: other methods may change something. */
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

export function createCaching(given: Options, ports: CachingPorts): Layer {
  const { clock, keys, marks, store } = ports
  const { targetOf } = keys
  const methods: ReadonlySet<string> = new Set(given.methods)
  const isObeying = given.clientDirectives === 'obey'
  const isBypassed = compileBypass(given.bypass)
  const judgement = judgementOf(given)
  const note = createNotes(given.cacheStatus, ports)
  const late = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'cache-waits', name: ports.route })
  const invalidate = createInvalidation(marks)
  const find = createFinder(judgement.isByConsumer)

  return next => {
    const fetcher = createFetcher({ ...ports, next, judgement, note, variantsMax: given.variants })
    const slowly = createSlowPath({ ...ports, next, fetcher, judgement, note, late, find, collapseMs: given.collapse })

    return function cache(call) {
      const { method } = call
      if (!methods.has(method)) {
        return safeMethods.has(method) || call.upgrade !== ''
          ? next(call)
          : next(call).then(reply => invalidate(call, reply))
      }
      const asked = readAsked(call, isObeying)
      if (asked.isBypass || asked.rules.noStore || call.upgrade !== '' || !call.body.isEmpty || isBypassed(call)) {
        return passBy(call, next, 'bypass', note)
      }
      const key = keys.keyOf(call, asked)
      const resource = store.get(key) ?? newResource(call, placeOf(marks, call.host, call.received), targetOf)
      const stored = find(resource, call, asked)
      const isCurrent = stored !== null && marks.read(resource.place) === stored.mark
      if (isCurrent) {
        const nowMs = clock.now()
        if (!store.canLend(stored)) return passBy(call, next, 'bypass', note)
        if (asked.isPlain ? nowMs < stored.freshUntilMs : isFreshFor(stored, asked, nowMs)) {
          return Promise.resolve(
            note('hit', serve(stored, asked, method, nowMs, store), { hit: true, ttl: ttlOf(stored, nowMs) }),
          )
        }
      }
      return slowly({ call, asked, key, resource, stored, isCurrent, unconditional: () => ask(call, targetOf) })
    }
  }
}

function judgementOf(given: Options): Judgement {
  return {
    statuses: new Set(given.statuses),
    bodyMax: given.bodyMax,
    guess: {
      ttl: new Map(Object.entries(given.ttl).map(([status, ms]) => [Number(status), ms])),
      heuristic: given.heuristic ?? 0,
      heuristicMsMax: given.heuristicMax,
    },
    staleWhileRevalidateMs: given.staleWhileRevalidate,
    staleIfErrorMs: given.staleIfError,
    isByConsumer: given.key.consumer,
  }
}

type Find = (resource: Resource | undefined, call: Call, asked: Asked) => Stored | null

/** What is kept from a call without credentials is not for one that has some, unless the service says so (RFC 9111 §3.5). */
function createFinder(isByConsumer: boolean): Find {
  return (resource, call, asked) => {
    if (resource === undefined) return null
    const { variants } = resource
    const isForAll = !asked.isIdentified || isByConsumer
    return findSelected(variants, call.headers, isForAll ? any : isMeantForAll)
  }
}

function any(): boolean {
  return true
}

function isMeantForAll({ rules }: Stored): boolean {
  return rules.isForAll
}

function newResource({ host, received, route }: Call, place: number, targetOf: Keys['targetOf']): Resource {
  return { host, target: targetOf(received), route, targetOf, place, variants: [] }
}

export type Note = (outcome: CacheOutcome, reply: Reply, status: CacheNote | null) => Reply

/** Counts what became of a call, and writes it into the reply where that is wanted. */
function createNotes(name: string | null, { meter, route }: CachingPorts): Note {
  const counter = (outcome: CacheOutcome) => meter.counter('turnpike_cache_calls', { http_route: route, outcome })
  const counters: Readonly<Record<CacheOutcome, Counter>> = {
    hit: counter('hit'),
    stale: counter('stale'),
    revalidated: counter('revalidated'),
    collapsed: counter('collapsed'),
    miss: counter('miss'),
    bypass: counter('bypass'),
  }
  return (outcome, reply, status) => {
    counters[outcome].add(1)
    if (name !== null && status !== null) addCacheStatus(reply.headers, name, status)
    return reply
  }
}

async function passBy(call: Call, next: Step, fwd: Forwarded, note: Note): Promise<Reply> {
  const reply = await next(call)
  return note('bypass', reply, { fwd, fwdStatus: reply.status })
}
