// What is done when no fresh reply is there: a stale one is sent, another call is waited for, or the service is asked.

import type { Call } from '../../core/call.ts'
import type { Counter } from '../../core/ports.ts'
import { Reply } from '../../core/reply.ts'
import type { Step } from '../../core/step.ts'
import type { Asked } from './asked.ts'
import type { Forwarded } from './cache-status.ts'
import type { CachingPorts, Note } from './caching.ts'
import type { Fetcher } from './fetcher.ts'
import type { Flight } from './flight.ts'
import type { Judgement } from './judge.ts'
import { mayBeStale } from './landing.ts'
import type { Question } from './question.ts'
import { serve } from './serve.ts'
import { ageOf, type Resource, type Stored } from './stored.ts'

export interface SlowPorts extends CachingPorts {
  readonly next: Step
  readonly fetcher: Fetcher
  readonly judgement: Judgement
  /** How long calls wait for each other, milliseconds. */
  readonly collapseMs: number
  readonly note: Note
  /** Counts who waited for too long. */
  readonly late: Counter
  find(resource: Resource | undefined, call: Call, asked: Asked): Stored | null
}

export function createSlowPath(ports: SlowPorts): (question: Question) => Promise<Reply> {
  const { clock, fetcher, note } = ports
  return async function answer(question) {
    const { call, asked, stored } = question
    if (stored !== null && isServedStale(question, stored, ports)) {
      fetcher.behind(question)
      const nowMs = clock.now()
      return note('stale', serve(stored, asked, call.method, nowMs, ports.store), {
        hit: true,
        ttl: ttlOf(stored, nowMs),
      })
    }
    if (asked.rules.onlyIfCached) return note('miss', Reply.problem('not-cached'), null)
    const fwd = reasonOf(question)
    const isPart = call.method === 'HEAD' || asked.range !== ''
    if (stored === null && (isPart || fetcher.isPassed(question))) return pass(question, fwd, ports)
    const mayWait = !asked.rules.noCache && (stored === null || stored.lifetimeMs > 0)
    const untilMs = mayWait ? clock.now() + ports.collapseMs : 0
    // Who was let down by one flight may find the next: other forms of the reply are fetched one by one. Between the look for a
    // flight and the start of one nothing else may run.
    for (let flight = fetcher.flightOf(question); flight !== null && clock.now() < untilMs; ) {
      const reply = await join(flight, question, untilMs, ports)
      if (reply !== null) return reply
      flight = fetcher.flightOf(question)
    }
    return fetcher.fetch(question, fwd)
  }
}

/** Waits for what another call asked; null where that is of no use to this one. */
async function join(flight: Flight, question: Question, untilMs: number, ports: SlowPorts): Promise<Reply | null> {
  const outcome = await flight.wait(question.call, untilMs)
  if (outcome.kind === 'stored') return answerWith(outcome.stored, question, ports)
  if (outcome.kind === 'failed') {
    return ports.note('collapsed', Reply.problem(outcome.code), { fwd: 'uri-miss', collapsed: true })
  }
  if (outcome.kind === 'late') ports.late.add(1)
  return pass(question, 'uri-miss', ports)
}

/** A reply that another call brought; null where it is not for this one, or not fresh at all. */
function answerWith(brought: Stored, { resource, call, asked }: Question, ports: SlowPorts): Reply | null {
  const stored = ports.find({ ...resource, variants: [brought] }, call, asked)
  if (stored === null || stored.lifetimeMs === 0) return null
  const nowMs = ports.clock.now()
  const note = { fwd: 'uri-miss', collapsed: true, ttl: ttlOf(stored, nowMs) } as const
  return ports.note('collapsed', serve(stored, asked, call.method, nowMs, ports.store), note)
}

async function pass(question: Question, fwd: Forwarded, { next, note }: SlowPorts): Promise<Reply> {
  const reply = await next(question.call)
  return note('miss', reply, { fwd, fwdStatus: reply.status })
}

/** RFC 5861 §3. Who asks for something fresher than the service demands waits for it. */
function isServedStale({ asked, isCurrent }: Question, stored: Stored, { clock, judgement }: SlowPorts): boolean {
  if (!isCurrent || !mayBeStale(stored, asked)) return false
  if (asked.rules.maxAgeMs !== null || asked.rules.minFreshMs > 0) return false
  const windowMs = stored.rules.staleWhileRevalidateMs ?? judgement.staleWhileRevalidateMs
  return clock.now() < stored.freshUntilMs + windowMs
}

function reasonOf({ resource, stored, asked, isCurrent }: Question): Forwarded {
  if (stored === null) return resource.variants.length > 0 ? 'vary-miss' : 'uri-miss'
  return isCurrent && (asked.rules.noCache || asked.rules.maxAgeMs !== null) ? 'request' : 'stale'
}

/** Whether the reply may be sent without a question: RFC 9111 §4.2, with what the request asks (§5.2.1). */
export function isFreshFor(stored: Stored, asked: Asked, nowMs: number): boolean {
  const { noCache, maxAgeMs, minFreshMs, maxStaleMs } = asked.rules
  if (noCache || (maxAgeMs !== null && ageOf(stored, nowMs) > maxAgeMs)) return false
  const leftMs = stored.freshUntilMs - nowMs
  if (leftMs > 0) return leftMs >= minFreshMs
  return minFreshMs === 0 && maxStaleMs > 0 && -leftMs <= maxStaleMs && mayBeStale(stored, asked)
}

/** Seconds; below 0 for a stale one. */
export function ttlOf({ freshUntilMs }: Stored, nowMs: number): number {
  return Math.round((freshUntilMs - nowMs) / 1000)
}
