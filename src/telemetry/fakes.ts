// For tests of this folder: time that stands still, finished calls, and a reader of the exposition formats.

import { Body } from '../core/body.ts'
import { Call } from '../core/call.ts'
import type { FinishedCall } from '../core/finished-call.ts'
import { Headers } from '../core/headers.ts'
import type { Clock, Deadlines, Timed } from '../core/ports.ts'

export function fakeTime() {
  let now = 0
  const entries = new Set<Timed>()
  const clock: Clock = { now: () => now, wall: () => now }
  const deadlines: Deadlines = { add: entry => entries.add(entry), remove: entry => entries.delete(entry) }
  const pass = async (ms: number): Promise<void> => {
    now += ms
    for (const entry of entries) if (entry.dueMs <= now) entry.due(now)
    await settle()
  }
  return { clock, deadlines, pass, watched: entries }
}

/** Lets everything that waits on resolved promises go on. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

export interface CallParts {
  readonly method?: string
  readonly path?: string
  readonly query?: string
  readonly headers?: Record<string, string>
  readonly route?: string
  readonly upstream?: string
  readonly scheme?: 'http' | 'https'
}

function fakeCall(parts: CallParts = {}): Call {
  const { method = 'GET', path = '/', query = '', scheme = 'http' } = parts
  const call = new Call({
    method,
    path,
    query,
    target: path + query,
    host: 'api.acme.test',
    headers: Headers.of(parts.headers ?? {}),
    body: Body.empty,
    peer: {
      address: '10.0.0.1',
      port: 4000,
      local: { address: '192.0.2.9', port: 8080 },
      isTrusted: false,
      scheme,
      listener: '8080',
      certificate: null,
    },
    startedMs: 0,
  })
  call.id = 'id-1'
  call.route = parts.route ?? 'catalog'
  call.upstream = parts.upstream ?? ''
  return call
}

export function fakeFinished(parts: CallParts & Partial<FinishedCall> = {}): FinishedCall {
  return {
    call: parts.call ?? fakeCall(parts),
    status: parts.status ?? 200,
    code: parts.code ?? null,
    detail: parts.detail ?? '',
    bytesIn: parts.bytesIn ?? 0,
    bytesOut: parts.bytesOut ?? 5,
    totalMs: parts.totalMs ?? 3,
    upstreamMs: parts.upstreamMs ?? 1,
    endedMs: parts.endedMs ?? Date.UTC(2026, 10, 23, 7, 8, 9, 42),
  }
}
