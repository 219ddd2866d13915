// An upstream that keeps each call until it is let go, and knows who is inside.

import type { ServerResponse } from 'node:http'
import type { Pool } from 'undici'
import { until } from './until.ts'

export interface Inside {
  /** How many are inside, those of before included. */
  readonly inside: number
  /** Resolves with what became of the calls, in any order; null for one that was cut off. */
  readonly over: Promise<({ readonly status: number; readonly fallback: unknown } | null)[]>
}

export class Room {
  readonly #inside = new Map<string, Set<ServerResponse>>()

  enter(round: string, response: ServerResponse): void {
    const calls = this.#inside.get(round) ?? new Set()
    this.#inside.set(round, calls.add(response))
    response.once('close', () => calls.delete(response))
  }

  count(round: string): number {
    return this.#inside.get(round)?.size ?? 0
  }

  release(round: string): void {
    for (const response of this.#inside.get(round) ?? []) response.end('done')
  }

  /** Sends calls with the header `x-round`; settles when each is inside or refused. */
  async fill(through: readonly Pool[], path: string, round: string, calls: number): Promise<Inside> {
    const before = this.count(round)
    let refused = 0
    const all = Array.from({ length: calls }, async (_, index) => {
      const pool = through[index % through.length]
      const reply = await pool?.request({ method: 'GET', path, headers: { 'x-round': round } }).catch(() => null)
      if (reply === null || reply === undefined) return null
      if (reply.statusCode === 503) refused++
      await reply.body.dump().catch(() => {})
      return { status: reply.statusCode, fallback: reply.headers['x-turnpike-limit-fallback'] }
    })
    await until(
      () => this.count(round) - before + refused === calls,
      () => `${calls} calls to be inside or refused: ${this.count(round) - before} and ${refused}`,
    )
    return { inside: this.count(round), over: Promise.all(all) }
  }
}
