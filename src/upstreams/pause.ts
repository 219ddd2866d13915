// A wait that ends early when the call it holds up is given up.

import type { Call } from '../core/call.ts'

/** Calls back once after `ms` milliseconds, unless the returned function is called before. */
export type StartTimer = (ms: number, callback: () => void) => () => void

/** The real one. A timer of its own is fine here: waits are rare and shorter than the beat of `Deadlines`. */
export const startTimer: StartTimer = (ms, callback) => {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}

/** Settles after `ms`, or at once when the call is given up. */
export function pause(call: Call, ms: number, start: StartTimer): Promise<void> {
  return new Promise(resolve => {
    const stop = start(ms, () => {
      call.endTry(listener)
      resolve()
    })
    const listener = {
      abandoned() {
        stop()
        resolve()
      },
    }
    call.beginTry(listener)
  })
}
