// Clients that call without pause, how their calls ended, and how long those that ended well took.

import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { ask } from './ask.ts'

/** The code of the gateway's own reply; undefined for one of a service. */
const codeOf = (text: string) => (text.startsWith('{') ? (JSON.parse(text) as { code?: string }).code : undefined)

/** How calls of some clients without pause ended, and how long the good ones took. */
export interface Ends {
  readonly byOutcome: Record<string, number>
  readonly goodMs: number[]
}

/** `clients` call for so long, each over one connection, the next call when the one before was answered. */
export async function flood(port: number, path: string, clients: number, ms: number): Promise<Ends> {
  const byOutcome: Record<string, number> = {}
  const goodMs: number[] = []
  const untilMs = performance.now() + ms
  const client = async (): Promise<void> => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    while (performance.now() < untilMs) {
      const startedMs = performance.now()
      const { status, text } = await ask(port, { path, agent })
      const outcome = status === 200 ? '200' : (codeOf(text) ?? String(status))
      byOutcome[outcome] = (byOutcome[outcome] ?? 0) + 1
      if (status === 200) goodMs.push(performance.now() - startedMs)
      else await pause(20)
    }
    agent.destroy()
  }
  await Promise.all(Array.from({ length: clients }, client))
  return { byOutcome, goodMs: goodMs.sort((a, b) => a - b) }
}

export const quantile = (sorted: readonly number[], share: number) =>
  sorted[Math.floor(sorted.length * share)] ?? Infinity
