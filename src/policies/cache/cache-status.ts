// The Cache-Status field (RFC 9211): what each cache on the way did, for people who look for the reason.

import type { Headers } from '../../core/headers.ts'

/** What became of a call; also the values of the metric. */
export type CacheOutcome = 'hit' | 'stale' | 'revalidated' | 'collapsed' | 'miss' | 'bypass'

/** Why a call went on (RFC 9211 §2.2). */
export type Forwarded = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'stale' | 'request'

export interface CacheNote {
  readonly hit?: boolean
  readonly fwd?: Forwarded
  readonly fwdStatus?: number
  readonly stored?: boolean
  readonly collapsed?: boolean
  /** Seconds for which the reply is still fresh; below 0 for a stale one. */
  readonly ttl?: number
  readonly detail?: string
}

/** Adds the element of this cache behind those of caches nearer to the service. */
export function addCacheStatus(headers: Headers, name: string, note: CacheNote): void {
  let text = name
  if (note.hit === true) text += '; hit'
  if (note.fwd !== undefined) text += `; fwd=${note.fwd}`
  if (note.fwdStatus !== undefined) text += `; fwd-status=${note.fwdStatus}`
  if (note.ttl !== undefined) text += `; ttl=${note.ttl}`
  if (note.stored === true) text += '; stored'
  if (note.collapsed === true) text += '; collapsed'
  if (note.detail !== undefined) text += `; detail=${note.detail}`
  const before = headers.all('cache-status')
  headers.set('Cache-Status', [...before, text].join(', '))
}
