// A warning about what can go wrong with every call.

import type { Ports } from './ports.ts'

/** How often one is written at most. */
const everyMs = 10_000

/**
 * Makes the function that warns: at once, then every ten seconds at most, so that an outage under load does not fill the log.
 * `times` says how often it happened since the line before, where that was more than once.
 */
export function sparingWarning({ log, clock }: Pick<Ports, 'log' | 'clock'>, text: string): (fields: object) => void {
  let toldMs = -Infinity
  let times = 0
  return fields => {
    times++
    const nowMs = clock.now()
    if (nowMs - toldMs < everyMs) return
    log.warn(times === 1 ? fields : { ...fields, times }, text)
    toldMs = nowMs
    times = 0
  }
}
