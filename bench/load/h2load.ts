// Load over HTTP/2 by h2load, and what it measured.

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { printed, programPath } from '../process.ts'
import type { Load, Measured } from './wrk.ts'

/** Runs h2load on the given cores; `load.streams` calls at once on each connection. */
export async function runH2load(origin: string, load: Load, seconds: number, cores: string): Promise<Measured> {
  const files = path.join(tmpdir(), `turnpike-h2load-${process.pid}`)
  const [log, body] = [`${files}.log`, `${files}.body`]
  const headers = Object.entries(load.headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const sizes = ['-t', String(load.threads), '-c', String(load.connections), '-m', String(load.streams)]
  const args = [...sizes, '-D', String(seconds), `--log-file=${log}`, ...headers]
  try {
    if (load.bodyBytes > 0) {
      writeFileSync(body, Buffer.alloc(load.bodyBytes))
      args.push('-d', body)
    }
    const words = ['-c', cores, programPath('h2load'), ...args, `${origin}${load.path}`]
    return read(await printed(programPath('taskset'), words), readFileSync(log, 'latin1'))
  } finally {
    for (const file of [log, body]) rmSync(file, { force: true })
  }
}

/** A line of the log is the start of a call, its status, and how long it took: microseconds, with tabs between. */
function read(output: string, log: string): Measured {
  const numbers = (pattern: RegExp) => (pattern.exec(output) ?? []).slice(1).map(Number)
  const [succeeded = 0, failed = 0] = numbers(/(\d+) succeeded, (\d+) failed/)
  const [seconds = 0] = numbers(/finished in ([\d.]+)s/)
  // 4xx and 5xx are among those that failed. 2xx are not counted: calls that the end of the time cuts off may have had theirs.
  const [redirected = 0] = numbers(/status codes: \d+ 2xx, (\d+) 3xx/)
  if (succeeded === 0 || seconds === 0) throw new Error(`h2load failed and printed:\n${output}`)
  const micros = Float64Array.from(log.split('\n').filter(Boolean), line => Number(line.split('\t')[2])).sort()
  const at = (share: number) => micros[Math.floor(micros.length * share)] ?? 0
  return { calls: succeeded, seconds, p50Micros: at(0.5), p99Micros: at(0.99), errors: failed + redirected }
}
