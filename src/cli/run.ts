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
  let gateway: Gateway
  try {
    gateway = await Gateway.start({ config, extensions: options.extension, log, watch: options.watch })
  } catch (error) {
    return explainStart(error)
  }
  // Before it says that it is ready: who reads that may send a signal at once, and without a handler it ends the process.
  process.on('SIGHUP', () => void gateway.reload())
  process.on('SIGUSR1', () => gateway.reopenLogs())
  const asked = new Promise<string>(resolve => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name))
  })
  printSummary(gateway, config, log, isPretty)
  const signal = await asked
  log.info({ signal, drainMs: gateway.blueprint.drainMs }, 'draining: no new connections, calls under way are finished')
  // Who asks twice does not want to wait.
  process.once('SIGINT', () => process.exit(ExitCode.failed))
  const cut = await gateway.close()
  if (cut > 0) log.warn({ connections: cut }, 'stopped; some connections had to be cut at the end of the drain time')
  else log.info({}, 'stopped')
  return ExitCode.ok
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
