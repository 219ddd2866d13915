// Waits for what must become true, and says what it waited for in vain.

import { setTimeout as pause } from 'node:timers/promises'

/** Whether something happens at all: a machine with much other work may take ten times as long as an idle one. */
const withinMsMax = 30_000

/** Looks every 20 ms until `isSo`. Rejects after `withinMs`. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: () => string,
  withinMs = withinMsMax,
): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`waited ${withinMs} ms for ${what()}`)
    await pause(20)
  }
}
