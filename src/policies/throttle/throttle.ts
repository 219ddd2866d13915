// The policy `throttle`: slows down whoever guesses keys and passwords, before the next guess is looked at.

import type { Call } from '../../core/call.ts'
import type { Soon } from '../../core/consumers.ts'
import type { LimitOutcome, LimitRule, LimitStore } from '../../core/limits.ts'
import { definePolicy } from '../../core/policy.ts'
import { refuseForNow } from '../../core/refuse-for-now.ts'
import type { Reply } from '../../core/reply.ts'
import { Duration, Fields, Rate } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { keyPlaceOptions } from '../../identity/key-reader.ts'
import { onGuess, wrongSecret } from '../../identity/refuse.ts'
import { clientOf } from '../../core/client-of.ts'
import { callersOption } from '../../limits/options.ts'
import { createGuessReader } from './guess.ts'

export const throttle = definePolicy({
  name: 'throttle',
  summary: 'Answers 429 to those who fail to authenticate too often; stands before the policies that authenticate.',
  isWatch: true,
  options: Fields({
    failures: Rate({ default: '20/5m', description: 'Failures of one client address that are let be.' }),
    guesses: Rate({
      default: '100/5m',
      description: 'Failures at one user name, or at keys that begin alike, from all addresses together.',
    }),
    ...keyPlaceOptions,
    retryAfter: Duration({
      default: '1m',
      description: 'The longest wait that `Retry-After` tells, in whole seconds from 1 on.',
    }),
    callers: callersOption,
  }),
  build({ failures, guesses, header, query, cookie, retryAfter, callers }, ports, place) {
    const store = ports.limits({
      ...{ scope: place.key, store: null, mode: 'exact', onFailure: 'open', isDurable: false },
      // Else whoever has many addresses fills it with guesses at nothing, and then guesses without being counted.
      ...{ callers, makesRoom: true, name: 'throttle' },
    })
    const byClient = [ruleOf(failures)]
    const byGuess = [ruleOf(guesses)]
    const guessOf = createGuessReader({ header, query, cookie })
    const hits = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'throttle', name: place.route })
    const ask = async (call: Call, next: Step): Promise<Reply> => {
      const client = `client ${clientOf(call.clientAddress, 64)}`
      const guessed = guessOf(call)
      // The own memory answers at once, and guesses count when they are refused: between both no other call of a connection with
      // many streams comes in.
      let waitMs = 0
      for (const wait of [waitOf(store, client, byClient), ...guessed.map(guess => waitOf(store, guess, byGuess))]) {
        waitMs = Math.max(waitMs, typeof wait === 'number' ? wait : await wait)
      }
      if (waitMs > 0) {
        hits.add(1)
        call.refusal = 'too many failures to authenticate'
        return refuseForNow('authentication-throttled', Math.min(waitMs, retryAfter))
      }
      let isCounted = false
      const further = call.facts.get(onGuess)
      const count = () => {
        if (isCounted) return
        isCounted = true
        void store.take(client, byClient, 1)
        for (const guess of guessed) void store.take(guess, byGuess, 1)
        further?.()
      }
      call.facts.set(onGuess, count)
      const reply = await next(call)
      // `any-of` may answer otherwise, by another credential of the same call: it was a guess all the same.
      const isGuess = call.facts.get(wrongSecret) === true
      if (isGuess || (reply.code === 'unauthenticated' && hasCredentials(call, guessed))) count()
      return reply
    }
    return next =>
      function throttle(call) {
        return ask(call, next)
      }
  },
})

function ruleOf({ count, windowMs }: { count: number; windowMs: number }): LimitRule {
  return { algorithm: 'sliding-window', limit: count, windowMs, burst: count, startMs: 0 }
}

/** Milliseconds until one more failure would be let be; 0 where it is. Takes nothing. */
function waitOf(store: LimitStore, key: string, rules: readonly LimitRule[]): Soon<number> {
  const outcome = store.take(key, rules, 0)
  return outcome instanceof Promise ? outcome.then(readWait) : readWait(outcome)
}

function readWait({ isAllowed, standings }: LimitOutcome): number {
  return isAllowed ? 0 : Math.max(1, ...standings.map(({ retryMs }) => retryMs))
}

/** A first call without credentials is how browsers learn that they need some: it is no guess. */
function hasCredentials({ headers, query }: Call, guessed: readonly string[]): boolean {
  return guessed.length > 0 || query !== '' || headers.has('authorization') || headers.has('cookie')
}
