// The access log: one JSON line per finished call, written in batches by each worker itself.

import type { FinishedCall } from '../core/finished-call.ts'
import type { Clock, Deadlines, Log, Meter } from '../core/ports.ts'
import { createLineFormat } from './access-line.ts'
import { openLineFile } from './line-file.ts'
import { type LineFile, LineWriter } from './line-writer.ts'
import type { HiddenParameters } from './redact.ts'

export interface AccessLogOptions {
  /** `stdout`, or the path of a file. */
  readonly to: string
  /** Bytes of lines that may wait to be written; past it lines are dropped and counted. */
  readonly bufferBytes: number
  /** Query parameters whose values are not written, besides those of well-known names. */
  readonly hidden: HiddenParameters
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly meter: Meter
  readonly log: Log
}

/** Owns its file until `close`. */
export interface AccessLog {
  /** Never waits and never throws. */
  write(event: FinishedCall): void
  /** After the file was moved away by log rotation. Rejects where the path cannot be opened; the old file stays in use. */
  reopen(): Promise<void>
  /** Writes what is waiting, for two seconds at most. */
  close(): Promise<void>
}

/** Throws an Error with a clear text where the file cannot be opened. */
export function createAccessLog(options: AccessLogOptions): AccessLog {
  return createAccessLogOver(openLineFile(options.to), options)
}

export function createAccessLogOver(file: LineFile, options: AccessLogOptions): AccessLog {
  const { meter, log } = options
  const written = meter.counter('turnpike_access_log_lines', { outcome: 'written' })
  const dropped = meter.counter('turnpike_access_log_lines', { outcome: 'dropped' })
  let isLosing = false
  const writer = new LineWriter({
    ...options,
    file,
    format: createLineFormat(options.hidden),
    onWritten: lines => {
      written.add(lines)
      isLosing = false
    },
    onDropped: (lines, cause) => {
      dropped.add(lines)
      if (isLosing || lines === 0) return
      // Said once per trouble; the metric counts the rest.
      isLosing = true
      const reason = cause instanceof Error ? cause.message : 'they come faster than they can be written'
      log.warn({ to: options.to, reason }, 'lines of the access log are being dropped')
    },
  })
  return { write: event => writer.add(event), reopen: () => writer.reopen(), close: () => writer.close() }
}
