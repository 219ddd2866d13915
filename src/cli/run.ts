// `turnpike run`: a gateway in the foreground, with its signals.

import { AdminPortRefused } from '../control/admin.ts'
import { createLog, type LogLevel } from '../telemetry/log.ts'
import { PortRefused } from '../threads/check.ts'
import { ConfigRefused, Gateway } from '../threads/gateway.ts'
import { ExitCode } from './exit-codes.ts'
import { printSummary } from './summary.ts'

export interface RunOptions {
  readonly extension: readonly string[]
  readonly logLevel: LogLevel
  readonly logFormat: 'pretty' | 'json' | undefined
  readonly watch: boolean
}

/** Runs until SIGTERM or SIGINT; resolves with the exit code. */
export async function run(config: string, options: RunOptions): Promise<number> {
  const isPretty = options.logFormat === undefined ? process.stderr.isTTY : options.logFormat === 'pretty'
  const log = createLog({ level: options.logLevel, isPretty })
  const changes = mindChanges()
  const stopEnding = endWhileStarting()
  let gateway: Gateway
  try {
    gateway = await Gateway.start({ config, extensions: options.extension, log, watch: options.watch })
  } catch (error) {
    return explainStart(error)
  }
  changes.goTo(gateway)
  // Before it says that it is ready: who reads that may send a signal at once.
  const stopped = untilStopped()
  stopEnding()
  printSummary(gateway, config, log, isPretty)
  const signal = await stopped
  log.info({ signal, drainMs: gateway.blueprint.drainMs }, 'draining: no new connections, calls under way are finished')
  const cut = await gateway.close()
  if (cut > 0) log.warn({ connections: cut }, 'stopped; some connections had to be cut at the end of the drain time')
  else log.info({}, 'stopped')
  return ExitCode.ok
}

/** Handles SIGHUP and SIGUSR1 from now on, as both end or halt a process without a handler; until there is a gateway they wait. */
function mindChanges(): { goTo(gateway: Gateway): void } {
  let gateway: Gateway | null = null
  let isLate = false
  process.on('SIGHUP', () => {
    if (gateway === null) isLate = true
    else void gateway.reload()
  })
  // A gateway opens its logs anew when it starts.
  process.on('SIGUSR1', () => gateway?.reopenLogs())
  return {
    goTo(started) {
      gateway = started
      // The start may have read the config before it changed.
      if (isLate) void started.reload()
    },
  }
}

const stopSignals = ['SIGTERM', 'SIGINT'] as const

/**
 * Until the function that it gives is called, a signal to stop ends the process, for there is nothing to finish. Without a handler it
 * would do that by itself, but not to the first process of a container.
 */
function endWhileStarting(): () => void {
  for (const name of stopSignals) process.on(name, endBy)
  return () => {
    for (const name of stopSignals) process.off(name, endBy)
  }
}

/** The exit code is the one by which a shell tells of a signal. */
function endBy(_: string, number: number): void {
  process.exit(128 + number)
}

/** Resolves with the first signal to stop. The handlers stay: without them a further signal would end the process amid its calls. */
function untilStopped(): Promise<string> {
  return new Promise(resolve => {
    let isStopping = false
    const stop = (name: string) => {
      // Who presses Ctrl-C again does not want to wait; what stops services may send SIGTERM twice.
      if (isStopping && name === 'SIGINT') process.exit(ExitCode.failed)
      isStopping = true
      resolve(name)
    }
    for (const name of stopSignals) process.on(name, stop)
  })
}

function explainStart(error: unknown): number {
  if (error instanceof ConfigRefused) {
    const count = error.problems.length
    process.stderr.write(
      `${error.message}\n${count} ${count === 1 ? 'mistake' : 'mistakes'} in the config; nothing was started.\n`,
    )
    return ExitCode.config
  }
  process.stderr.write(`turnpike: ${error instanceof Error ? error.message : String(error)}\n`)
  return error instanceof PortRefused || error instanceof AdminPortRefused ? ExitCode.port : ExitCode.failed
}
