// An extension that brings nothing: while the gateway starts, it sends its process the signals of those who have changed something.

import process from 'node:process'
import { isMainThread } from 'node:worker_threads'
import { setTimeout as pause } from 'node:timers/promises'

if (isMainThread) {
  for (const signal of ['SIGHUP', 'SIGUSR1']) process.kill(process.pid, signal)
  // Signals are handled in turns of the event loop.
  await pause(50)
}

export const policies = []
