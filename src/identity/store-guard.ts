// Asks the store of consumers: what it throws becomes a Failure, and an outage two lines in the log.

import type { Soon } from '../core/consumers.ts'
import { Failure } from '../core/failure.ts'
import type { Clock, Log } from '../core/ports.ts'

/** Asks, and hands the answer on. Throws or rejects with a `Failure` where the store does. */
export type StoreGuard = <T, R>(ask: () => Soon<T>, then: (answer: T) => R) => Soon<R>

const logEveryMs = 10_000

/**
 * Asks the store, and makes what it throws a `Failure`. An outage is logged when it begins and when it ends: what is cached
 * goes on meanwhile.
 */
export function createStoreGuard(log: Log, clock: Clock): StoreGuard {
  let isBroken = false
  let loggedMs = -Infinity
  const answered = () => {
    if (isBroken) log.info({}, 'the store of consumers can be read again')
    isBroken = false
  }
  const broken = (error: unknown): never => {
    // A store that fails now and then must not fill the log.
    if (!isBroken && clock.now() - loggedMs > logEveryMs) {
      log.error({ err: error }, 'the store of consumers cannot be read; known callers go on')
      loggedMs = clock.now()
      isBroken = true
    }
    const detail = error instanceof Error ? error.message : String(error)
    throw new Failure('authentication-unavailable', { detail: `the store of consumers: ${detail}`, cause: error })
  }
  return (ask, then) => {
    let answer
    try {
      answer = ask()
    } catch (error) {
      return broken(error)
    }
    if (answer instanceof Promise) {
      return answer.then(
        value => {
          answered()
          return then(value)
        },
        (error: unknown) => broken(error),
      )
    }
    answered()
    return then(answer)
  }
}

export function callSafely<T>(run: () => Soon<T>): Soon<T | undefined> {
  try {
    return run()
  } catch {
    // The guard has logged it.
    return undefined
  }
}

/** A failure was logged by the guard, and the next beat asks again. */
export function quietly(soon: Soon<unknown>): void {
  if (soon instanceof Promise) soon.catch(() => {})
}
