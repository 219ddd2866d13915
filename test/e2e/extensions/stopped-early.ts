// An extension that brings nothing: while the gateway starts, it sends its process the signal of those who want it to stop.

import process from 'node:process'
import { isMainThread } from 'node:worker_threads'
import { setTimeout as pause } from 'node:timers/promises'

if (isMainThread) {
  process.kill(process.pid, 'SIGTERM')
  // Signals are handled in turns of the event loop.
  await pause(10_000)
}

export const policies = []
