// The program's own log, over pino: readable on a terminal, JSON otherwise; worker threads hand their lines to the main thread.

import { type DestinationStream, destination, pino, stdTimeFunctions } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Log } from '../core/ports.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogOptions {
  readonly level: LogLevel
  /** Coloured text for people instead of JSON. */
  readonly isPretty: boolean
  /** Takes finished lines; the standard error stream where it is not given, because the access log may go to the other. */
  readonly write?: (line: string) => void
}

/** Fields that must never be printed, wherever somebody put them. */
const secretFields = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key', 'password', 'secret']

/** Lines are written at once: the log says little, and what it says last matters most. */
export function createLog({ level, isPretty, write }: LogOptions): Log {
  const lines: DestinationStream = write === undefined ? destination({ dest: 2, sync: true }) : { write }
  const prettify = prettyFactory({ colorize: true, singleLine: true, translateTime: 'SYS:HH:MM:ss.l' })
  const stream: DestinationStream = isPretty ? { write: line => lines.write(prettify(line)) } : lines
  const logger = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      redact: { paths: secretFields.flatMap(field => [`["${field}"]`, `*["${field}"]`]), censor: '[redacted]' },
    },
    stream,
  )
  return {
    debug: (fields, text) => logger.debug(plainFields(fields), text),
    info: (fields, text) => logger.info(plainFields(fields), text),
    warn: (fields, text) => logger.warn(plainFields(fields), text),
    error: (fields, text) => logger.error(plainFields(fields), text),
  }
}

/** One line of a worker on its way to the main thread; survives structured cloning. */
export interface RemoteLogLine {
  readonly level: LogLevel
  readonly fields: Readonly<Record<string, unknown>>
  readonly text: string
}

/** For a worker thread: `post` carries the line to the main thread, which gives it to `writeRemoteLine`. */
export function createRemoteLog(post: (line: RemoteLogLine) => void): Log {
  const at = (level: LogLevel) => (fields: object, text: string) => post({ level, fields: plainFields(fields), text })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** `worker` tells lines of several threads apart. */
export function writeRemoteLine(log: Log, line: RemoteLogLine, worker: number): void {
  log[line.level]({ worker, ...line.fields }, line.text)
}

/** Errors and other objects as plain data, three levels deep. Functions and symbols cannot be sent and are left out. */
function plainFields(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plainValue(value, 3)]))
}

function plainValue(value: unknown, depth: number): unknown {
  if (value instanceof Error) return plainError(value, depth)
  if (typeof value === 'function' || typeof value === 'symbol') return undefined
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth === 0) return '…'
  if (Array.isArray(value)) return value.map(item => plainValue(item, depth - 1))
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plainValue(item, depth - 1)]))
}

function plainError(error: Error, depth: number): Record<string, unknown> {
  return {
    type: error.name,
    message: error.message,
    ...('code' in error && { code: error.code }),
    stack: error.stack,
    ...(error.cause !== undefined && depth > 0 && { cause: plainValue(error.cause, depth - 1) }),
  }
}
