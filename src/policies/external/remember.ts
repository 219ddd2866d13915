// Answers by key for a short time; one question per key at a time.

import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Call } from '../../core/call.ts'
import type { Clock } from '../../core/ports.ts'
import { principal } from '../../core/principal.ts'
import { compileTemplate } from '../../core/template.ts'
import { type Answer, isShareable, sizeOf } from './answer.ts'

type Ask = (call: Call) => Promise<Answer | null>

/** Room for bodies and fields, all answers together. */
const bytesPerEntry = 1024

export interface CacheOptions {
  readonly key: string
  readonly ttl: number
  readonly entries: number
  /** Header fields whose values are part of every key. */
  readonly send: readonly string[]
  /** The service is told the client certificate and the principal: they are part of every key. */
  readonly byCaller: boolean
}

/**
 * The values of `send` are part of every key, whatever the template says: two calls with different credentials never share
 * an answer. Failures are not kept, nor are answers that set cookies.
 */
export function remembering(ask: Ask, options: CacheOptions, clock: Clock, onFull: () => void): Ask {
  const template = compileTemplate(options.key)
  const keys = options.send.map(name => name.toLowerCase())
  const known = new LRUCache<string, { readonly answer: Answer; readonly untilMs: number }>({
    max: options.entries,
    maxSize: options.entries * bytesPerEntry,
    sizeCalculation: ({ answer }) => sizeOf(answer),
    dispose: (_value, _key, reason) => {
      if (reason === 'evict') onFull()
    },
  })
  const pending = new Map<string, Promise<Answer | null>>()
  const run = async (key: string, call: Call): Promise<Answer | null> => {
    try {
      const answer = await ask(call)
      if (answer !== null && isShareable(answer)) known.set(key, { answer, untilMs: clock.now() + options.ttl })
      return answer
    } finally {
      pending.delete(key)
    }
  }
  return call => {
    const key = keyOf([template.render(call), ...(options.byCaller ? callerOf(call) : [])], keys, call)
    const kept = known.get(key)
    if (kept !== undefined && clock.now() < kept.untilMs) return Promise.resolve(kept.answer)
    const shared = pending.get(key)
    if (shared !== undefined) {
      return shared.then(answer => (answer === null || isShareable(answer) ? answer : ask(call)))
    }
    const promise = run(key, call)
    pending.set(key, promise)
    return promise
  }
}

/** A digest: whoever reads the memory finds no credentials, and a long field takes no more room than a short one. */
function keyOf(texts: readonly string[], keys: readonly string[], call: Call): string {
  return createHash('sha256')
    .update(JSON.stringify([...texts, ...keys.map(key => call.headers.all(key))]))
    .digest('base64')
}

/** What is told of who calls. */
function callerOf(call: Call): string[] {
  const proven = call.facts.get(principal)
  const names = [proven?.method, proven?.id, proven?.credential, proven?.consumer?.name, proven?.application?.name]
  return [call.peer.certificate?.fingerprint ?? '', JSON.stringify([...names, ...(proven?.scopes ?? [])])]
}
