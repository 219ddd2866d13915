// Asks the service for what is not there or not fresh, once for all who wait.

import { LRUCache } from 'lru-cache'
import type { Call } from '../../core/call.ts'
import type { Reply } from '../../core/reply.ts'
import type { Forwarded } from './cache-status.ts'
import { Flight, type Outcome } from './flight.ts'
import { land, type LandingPorts } from './landing.ts'
import { askAgain, nameOf, type Question } from './question.ts'

export interface Fetcher {
  /** The flight on which the same question is; null for none. */
  flightOf(question: Question): Flight | null
  /** The last reply to the same question was not to be kept, so that nobody should wait for the next. */
  isPassed(question: Question): boolean
  fetch(question: Question, fwd: Forwarded): Promise<Reply>
  /** Fetches while nobody waits, at most once at a time. */
  behind(question: Question): void
}

/** Questions whose replies are not kept are remembered so long, and so many. */
const passMs = 10_000
const passesMax = 2_000
/** A reply that nobody waits for is given up then. */
const behindMs = 30_000

export function createFetcher(given: Omit<LandingPorts, 'pass'>): Fetcher {
  const { clock, deadlines, log } = given
  const flights = new Map<string, Flight>()
  const passes = new LRUCache<string, number>({ max: passesMax })
  const ports: LandingPorts = {
    ...given,
    pass: question => void passes.set(nameOf(question), clock.now() + passMs),
  }

  function begin(question: Question): { flight: Flight; settle: (outcome: Outcome) => void } {
    const name = nameOf(question)
    const flight = new Flight(askAgain(question), deadlines)
    if (!flights.has(name)) flights.set(name, flight)
    const settle = (outcome: Outcome) => {
      if (flights.get(name) === flight) flights.delete(name)
      flight.settle(outcome)
    }
    return { flight, settle }
  }

  return {
    flightOf: question => flights.get(nameOf(question)) ?? null,
    isPassed: question => clock.now() < (passes.get(nameOf(question)) ?? 0),
    fetch(question, fwd) {
      const { flight, settle } = begin(question)
      return new Promise((resolve, reject) => {
        const party = flight.enter(question.call, reject)
        land({ question, flight, settle, fwd, party }, ports).then(reply => {
          follow(question.call, flight.call)
          // Its caller left while others waited.
          if (question.call.abandonReason !== null) reply.body.cancel()
          resolve(reply)
        }, reject)
      })
    },
    behind(question) {
      if (flights.has(nameOf(question))) return
      const { flight, settle } = begin(question)
      flight.hold()
      flight.call.deadlineMs = clock.now() + behindMs
      flight.call.inform = null
      land({ question, flight, settle, fwd: 'stale', party: null }, ports).then(
        reply => reply.body.cancel(),
        (error: unknown) => log.debug({ err: error, route: flight.call.route }, 'a reply was not fetched anew'),
      )
    },
  }
}

/** What the log, the metrics and the deadline of the call go by. */
function follow(call: Call, flown: Call): void {
  call.upstream = flown.upstream
  call.askedTarget = flown.askedTarget
  call.tries += flown.tries
  call.upstreamMs += flown.upstreamMs
  call.deadlineMs = Math.min(call.deadlineMs, flown.deadlineMs)
  if (call.refusal === '') call.refusal = flown.refusal
}
