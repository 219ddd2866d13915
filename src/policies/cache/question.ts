// A call that cannot be answered from the store at once, and how it is asked of the service.

import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import type { Asked } from './asked.ts'
import type { Resource, Stored } from './stored.ts'

export interface Question {
  readonly call: Call
  readonly asked: Asked
  readonly key: string
  /** With no variants where nothing is kept. */
  readonly resource: Resource
  /** What fits the call, though it is not fresh; null for nothing. */
  readonly stored: Stored | null
  /** Nothing has changed its path since it was kept. */
  readonly isCurrent: boolean
  /** Asks for the whole reply. */
  readonly unconditional: () => Call
}

/** Callers with credentials and others never wait for each other. */
export function nameOf({ key, asked }: Question): string {
  return asked.isIdentified ? `${key}\n` : key
}

/** Preconditions and ranges of the client are judged by what comes, and are not the service's affair. */
const clientsOwn = ['if-none-match', 'if-modified-since', 'range', 'if-range']

/** What has no part in the key is not sent on, so that no reply depends on it. */
export function ask(call: Call, targetOf: (received: string) => string): Call {
  const headers = call.headers.clone()
  for (const key of clientsOwn) headers.delete(key)
  const target = targetOf(call.received)
  const question = target.indexOf('?')
  const copy = call.copy(headers, Body.empty, {
    method: 'GET',
    target,
    query: question < 0 ? '' : target.slice(question),
  })
  copy.inform = call.inform
  // It may be for others, too, whose time is not up yet.
  copy.deadlineMs = Infinity
  return copy
}

/** With the validators of what is kept (RFC 9111 §4.3.1). */
export function askAgain({ stored, unconditional }: Question): Call {
  const call = unconditional()
  if (stored === null) return call
  if (stored.etag !== '') call.headers.add('If-None-Match', stored.etag)
  if (stored.lastModified !== '') call.headers.add('If-Modified-Since', stored.lastModified)
  return call
}
