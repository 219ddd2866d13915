// Load by wrk, and what it measured.

import path from 'node:path'
import { printed, programPath } from '../process.ts'

export interface Load {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly bodyBytes: number
  /** With this, `{n}` in the path and in header fields is a number below it, another one for each call. */
  readonly variants: number
  readonly connections: number
  /** Calls at once on each connection, by HTTP/2; 0 for HTTP/1.1. */
  readonly streams: number
  readonly threads: number
}

export interface Measured {
  readonly calls: number
  readonly seconds: number
  readonly p50Micros: number
  readonly p99Micros: number
  /** Replies that were not 2xx or 3xx, and connections that broke or timed out. */
  readonly errors: number
}

/** Runs wrk on the given cores. */
export async function runWrk(origin: string, load: Load, seconds: number, cores: string): Promise<Measured> {
  const script = path.join(import.meta.dirname, 'wrk.lua')
  const headers = Object.entries(load.headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const sizes = [`-t${load.threads}`, `-c${load.connections}`, `-d${seconds}s`, '--timeout', '10s']
  const args = [
    ...sizes,
    '-s',
    script,
    ...headers,
    origin,
    '--',
    load.path,
    String(load.bodyBytes),
    String(load.variants),
  ]
  const output = await printed(programPath('taskset'), ['-c', cores, programPath('wrk'), ...args])
  const line = /^measured (.*)$/m.exec(output)?.[1]
  if (line === undefined) throw new Error(`wrk failed and printed:\n${output}`)
  const [calls = 0, micros = 0, p50Micros = 0, p99Micros = 0, errors = 0] = line.split(' ').map(Number)
  return { calls, seconds: micros / 1e6, p50Micros, p99Micros, errors }
}
