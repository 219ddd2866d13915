// What becomes of the reply to a question: it is kept, renews what is kept, or is passed on; and those who wait are told.

import { Body } from '../../core/body.ts'
import { codes } from '../../core/codes.ts'
import type { Reply } from '../../core/reply.ts'
import type { Step } from '../../core/step.ts'
import type { Asked } from './asked.ts'
import type { Forwarded } from './cache-status.ts'
import type { CachingPorts, Note } from './caching.ts'
import { isNotModified } from './conditions.ts'
import { Fill } from './fill.ts'
import type { Flight, Outcome, Party } from './flight.ts'
import { type Judgement, judge, type Keepable, mayStay, type Refusal, refresh, type Times } from './judge.ts'
import type { Question } from './question.ts'
import { notModified, pieceBytes, serve } from './serve.ts'
import { type Stored, withVariant } from './stored.ts'

export interface LandingPorts extends CachingPorts {
  readonly next: Step
  readonly judgement: Judgement
  readonly variantsMax: number
  readonly note: Note
  /** Replies to this question are not worth waiting for. */
  pass(question: Question): void
}

export interface Launch {
  readonly question: Question
  readonly flight: Flight
  /** Why it was asked. */
  readonly fwd: Forwarded
  /** Who asked first; null where nobody waits. */
  readonly party: Party | null
  /** Tells those who wait, and lets no more come. */
  readonly settle: (outcome: Outcome) => void
}

/** A reply that came, and what was so when it was asked for: a change since then makes it too old to be kept. */
interface Arrival {
  readonly launch: Launch
  readonly reply: Reply
  readonly times: Times
  readonly mark: number
  readonly purgeNumber: number
}

/** Asks; resolves with the reply for who asked first. */
export async function land(launch: Launch, ports: LandingPorts): Promise<Reply> {
  const { clock, marks, store } = ports
  const { question, flight, settle } = launch
  const { stored, resource } = question
  const mark = marks.read(resource.place)
  const { purgeNumber } = store
  const askedMs = clock.now()
  let reply: Reply
  try {
    reply = await ports.next(flight.call)
  } catch (thrown) {
    flight.over()
    settle({ kind: 'alone' })
    throw thrown
  }
  const times = { askedMs, cameMs: clock.now(), cameWallMs: clock.wall() }
  const arrival = { launch, reply, times, mark, purgeNumber }
  if (stored === null) return landNew(arrival, ports)
  if (reply.status === 304 && reply.code === null) return landValidated(arrival, stored, ports)
  if (isFailing(reply) && mayServeOnError(question, times.cameMs, ports.judgement)) {
    reply.body.cancel()
    flight.over()
    settle({ kind: 'stored', stored })
    const answer = serve(stored, question.asked, question.call.method, times.cameMs, store)
    return ports.note('stale', answer, { fwd: launch.fwd, fwdStatus: reply.status })
  }
  return landNew(arrival, ports)
}

/** What is kept is still so (RFC 9111 §4.3.4). */
function landValidated(arrival: Arrival, stored: Stored, ports: LandingPorts): Reply {
  const { launch, reply, times, mark } = arrival
  const { question, flight, settle, fwd } = launch
  const { asked, call, key } = question
  reply.body.cancel()
  flight.over()
  // It answers the question, but what it says of another reply is not for this one.
  const renewed = isAbout(reply, stored) ? refresh(stored, reply, mark, times, ports.judgement) : stored
  const isStaying = mayStay(renewed, asked.isIdentified && !ports.judgement.isByConsumer)
  if (!isStaying) ports.store.delete(key)
  const isKept = isStaying && renewed !== stored && keep(arrival, renewed, ports)
  settle(isKept ? { kind: 'stored', stored: renewed } : { kind: 'alone' })
  const answer = serve(renewed, asked, call.method, times.cameMs, ports.store)
  return ports.note('revalidated', answer, { fwd, fwdStatus: 304, stored: isKept })
}

function landNew(arrival: Arrival, ports: LandingPorts): Reply {
  const { launch, reply, times } = arrival
  const { question, flight, party, fwd } = launch
  const { asked, call } = question
  const verdict = judge(reply, call.headers, asked, times, ports.judgement)
  // The client's preconditions were not sent on: they are judged here.
  const isKnown = reply.status === 200 && !asked.isPlain && isNotModified(asked, reply.headers, times.cameWallMs)
  const status = { fwd, fwdStatus: reply.status }
  if (isRefusal(verdict)) {
    if (verdict.isLasting) ports.pass(question)
    flight.over()
    launch.settle(outcomeOf(reply))
    if (!isKnown) return ports.note('miss', reply, status)
    reply.body.cancel()
    return ports.note('miss', notModified(reply.headers), status)
  }
  // Who needs the head alone does not keep the body from being kept.
  if (isKnown || call.method === 'HEAD') party?.stay()
  fill(arrival, verdict, ports)
  if (!isKnown) return ports.note('miss', reply, { ...status, stored: true })
  reply.body.cancel()
  return ports.note('miss', notModified(reply.headers), { ...status, stored: true })
}

/** The body is read to its end into the store, and handed on as it comes. */
function fill(arrival: Arrival, kept: Keepable, ports: LandingPorts): void {
  const { launch, reply, mark } = arrival
  const { flight, settle, party } = launch
  const { store, judgement } = ports
  let taken = 0
  const filling = new Fill(reply.body, judgement.bodyMax, {
    tryKeep(bytes) {
      if (!store.tryFill(bytes)) return false
      taken += bytes
      return true
    },
    complete(body) {
      const stored = { ...kept, body, mark, lease: { readers: 0 } }
      offerRanges(stored)
      settle(keep(arrival, stored, ports) ? { kind: 'stored', stored } : { kind: 'alone' })
    },
    gaveUp: () => settle({ kind: 'alone' }),
    readerLeft: () => party?.leave(),
    over: () => flight.over(),
    free: () => store.filled(taken),
  })
  const { length } = reply.body
  filling.begin()
  reply.body = new Body(length, filling)
}

/** Of long replies alone: nobody resumes short ones, and each field costs something with each hit. */
function offerRanges({ status, headers, body }: Stored): void {
  if (status === 200 && body.length > pieceBytes && !headers.has('accept-ranges')) headers.add('Accept-Ranges', 'bytes')
}

/** False where something changed while the reply was on its way. */
function keep({ launch, mark, purgeNumber }: Arrival, added: Stored, ports: LandingPorts): boolean {
  const { store, marks, variantsMax } = ports
  const { key, resource } = launch.question
  if (marks.read(resource.place) !== mark) return false
  if (store.isPurgedSince(purgeNumber, resource, added.tags)) return false
  const variants = store.get(key)?.variants ?? []
  store.put(key, { ...resource, variants: withVariant(variants, added, variantsMax) })
  return true
}

function isRefusal(verdict: Keepable | Refusal): verdict is Refusal {
  return 'isLasting' in verdict
}

/** A failure of the service strikes all who wait alike; another reply may be for one of them alone. */
function outcomeOf({ code }: Reply): Outcome {
  return code !== null && codes[code].source === 'upstream' ? { kind: 'failed', code } : { kind: 'alone' }
}

/** A 304 that names another tag, or none and another date, is about another reply (RFC 9111 §4.3.4). */
function isAbout({ headers }: Reply, { etag, lastModified }: Stored): boolean {
  const tag = headers.get('etag')
  if (tag !== undefined && etag !== '') return tag.replace(/^W\//, '') === etag.replace(/^W\//, '')
  const date = headers.get('last-modified')
  return tag !== undefined || date === undefined || lastModified === '' || date === lastModified
}

/** RFC 5861 §4. */
function isFailing({ status, code }: Reply): boolean {
  const isError = status === 500 || status === 502 || status === 503 || status === 504
  return isError && (code === null || code === 'call-timeout' || codes[code].source === 'upstream')
}

function mayServeOnError({ stored, isCurrent, asked }: Question, nowMs: number, by: Judgement): boolean {
  if (stored === null || !isCurrent || !mayBeStale(stored, asked)) return false
  return nowMs < stored.freshUntilMs + (stored.rules.staleIfErrorMs ?? by.staleIfErrorMs)
}

/** RFC 9111 §4.2.4: neither the service nor the client forbids it. */
export function mayBeStale({ rules }: Stored, asked: Asked): boolean {
  return !rules.mustRevalidate && !rules.noCache && !asked.rules.noCache
}
